"""MIG instances are given to jobs: which one a job has, and a guard that it is nobody else's.

Revision 0005. A released migration is never edited; columns stand here as they were, on purpose.
"""

from alembic import op
from sqlalchemy import Column, Text

from dcdaemon.core.errors import Refused

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add columns; no job of before has an instance."""
    op.add_column("job", Column("gpu_instance", Text))
    op.add_column("gpu_share", Column("gpu_instance", Text))
    op.create_index("gpu_share_instance", "gpu_share", ["node", "gpu", "gpu_instance"], unique=True)


def downgrade() -> None:
    """Refuse: a program of before would give a GPU away that is cut."""
    raise Refused("there is no way back to schema 0004", "restore a backup of the database instead")
