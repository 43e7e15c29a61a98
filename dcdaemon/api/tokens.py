"""Tokens over HTTP: made and told once, listed without what would open the door, revoked at once."""

from typing import Annotated

from fastapi import APIRouter, status
from pydantic import BaseModel, ConfigDict, Field

from dcdaemon.api.bodies import Text
from dcdaemon.api.documents import SCHEMA, Document, iso
from dcdaemon.api.identity import ActorOf, DeskOf
from dcdaemon.control.tokens import DEFAULT_LIFE_S, TokenWish, create_token, list_tokens, revoke_token
from dcdaemon.core.token import Token, TokenRole

router = APIRouter(prefix="/v1", tags=["tokens"])
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]*$"


class TokenBody(BaseModel):
    """For whom a token is to stand (null: oneself), what it may do, and how long it lives."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[Text, Field(max_length=64, pattern=_NAME)] | None = None
    user: Annotated[Text, Field(max_length=64)] | None = None
    role: Annotated[TokenRole, Field(strict=False)] = TokenRole.SUBMITTER
    expires_s: float = Field(default=DEFAULT_LIFE_S, gt=0, allow_inf_nan=False)


class RevokeBody(BaseModel):
    """Which token, by name or id."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: Text = Field(min_length=1, max_length=128)


@router.get("/tokens")
def get_tokens(desk: DeskOf, actor: ActorOf) -> Document:
    """List tokens by name, those of all users for operators; what opens the door is not among what is kept."""
    now = desk.clock.now()
    return {"schema": SCHEMA, "tokens": [token_document(token, now) for token in list_tokens(desk, actor)]}


@router.post("/tokens", status_code=status.HTTP_201_CREATED)
def post_token(body: TokenBody, desk: DeskOf, actor: ActorOf) -> Document:
    """Make a token; `secret` is told this once and never again."""
    wish = TokenWish(body.name, body.user, body.role, body.expires_s)
    secret, token = create_token(desk, actor, wish)
    return {"schema": SCHEMA, **token_document(token, desk.clock.now()), "secret": secret}


@router.post("/tokens/revoke")
def post_revoke(body: RevokeBody, desk: DeskOf, actor: ActorOf) -> Document:
    """Have a token open nothing from now on; answers that have begun end, too."""
    token = revoke_token(desk, actor, body.token)
    return {"schema": SCHEMA, **token_document(token, desk.clock.now()), "state": "revoked"}


def token_document(token: Token, now: float) -> Document:
    """Return a token as it is listed."""
    state = "revoked" if token.revoked_at is not None else "valid" if token.is_valid(now) else "expired"
    return {
        "id": token.id, "name": token.name, "user": token.user, "uid": token.uid, "role": token.role.value,
        "state": state, "created_at": iso(token.created_at), "created_by": token.created_by,
        "expires_at": iso(token.expires_at), "revoked_at": iso(token.revoked_at), "revoked_by": token.revoked_by,
        "last_used_at": iso(token.last_used_at), "last_used_from": token.last_used_from,
    }  # fmt: skip
