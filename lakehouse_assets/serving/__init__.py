"""Serves a registered model over HTTP, with the scores that the batch tables have.

Nothing is re-exported here, so that importing the package never imports Uvicorn or MLflow.
"""
