"""Member segmentation: clustering, naming of segments, their figure and model tracking.

The modules are imported one by one; nothing is re-exported here, so that importing the package
never pulls in scikit-learn, Matplotlib or MLflow.
"""
