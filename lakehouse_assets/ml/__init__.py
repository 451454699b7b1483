"""The life cycle of models: fit, track, check gates, compare, promote, load safely, score.

Nothing is re-exported here, so that importing the package never imports scikit-learn, Matplotlib or
MLflow.
"""
