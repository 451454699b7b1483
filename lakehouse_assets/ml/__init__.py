"""The life cycle of models: fitted, tracked, gated, compared, promoted, loaded safely, scored.

The modules are imported one by one; nothing is re-exported here, so that importing the package
never pulls in scikit-learn, Matplotlib or MLflow.
"""
