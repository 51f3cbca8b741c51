"""The database and the files behind the `Store` and `Files` ports. Knows tables and bytes; decides nothing."""
