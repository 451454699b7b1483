"""Copy database tables into the landing zone, where they are ordinary deliveries; read streams.

    lookup.py      checks that the source answers, counts new rows, finds changes of its schema
    streams.py     rows as Arrow batches of text, by the fastest method of each database
    served.py      rewrites databases' text in bronze's form
    extraction.py  writes batches as files into the landing zone; resumes an interrupted copy
    copy_state.py  state between copies, stored with the deliveries
    connection.py  addresses, secrets, and plain error messages
    dialects.py    differences between databases
    embedded.py    the embedded database of the demo
    messages.py    topics of messages: kafka.py (Kafka, Event Hubs) or folder_stream.py

Why not dlt: its pyarrow backend reads 26,000-96,000 rows/s and returned a MySQL double as
decimal(11,10); its connectorx backend reads 135,000 rows/s and converts every numeric to
decimal(38,10). Both return typed values, which bronze would convert back to text. Here the database
writes the text itself, which is exact by construction, and PostgreSQL's COPY is as fast as
connectorx. A dlt pipeline also keeps its own state and schema in addition to the lake's.
"""
