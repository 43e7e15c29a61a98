"""How answers are shown: tables, JSON, CSV, live."""
