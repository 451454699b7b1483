"""From operational databases to the landing zone: a delivery, like a file that somebody brought.

lookup.py      the source answers; how many rows wait; what has changed in its schema
    streams.py     rows as Arrow batches of text, by the quickest way of each database
    extraction.py  batches to chunks in the landing zone; interrupted, it goes on where it was
    memory.py      what is remembered beside the deliveries
    connection.py  addresses, secrets, and errors in plain words
    dialects.py    what each database says differently

Why not dlt: its pyarrow backend reads 26,000-96,000 rows/s and gave a MySQL double as
decimal(11,10); its connectorx backend reads 135,000 rows/s and makes decimal(38,10) of every
numeric. Both hand over typed values that bronze turns into text again. Here the database writes the
text itself, which is exact by construction, and PostgreSQL's COPY is as quick as connectorx reads.
A pipeline of dlt also keeps a state and a schema of its own beside those of the lake.
"""
