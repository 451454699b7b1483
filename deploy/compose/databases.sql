-- PostgreSQL runs this once, when its volume is empty. The database `dagster` is there already.
create database mlflow;
