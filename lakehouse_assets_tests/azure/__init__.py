"""The lake in Azure without Azure: real clients against Azurite, a stub of Entra and a proxy."""
