"""What is kept on disk: tables (Parquet), artifacts addressed by their recipe, and what made what.

Import from the module that defines a name; the ones most code needs are

- `storage.artifacts`: `Store`, `open_store`, and `storage.recipe.Recipe`;
- `storage.tables`: `SCHEMAS`, `read_table`, `write_table`, `write_tables`, and records to tables and back;
- `storage.shards`: `write_shard`, `finished_shards`, for stages that resume;
- `storage.commands` and `storage.reports`: what `densecorr store` does, and its text.

Knows neither the orchestrator nor the viewer.
"""
