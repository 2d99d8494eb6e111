"""What runs and what is delivered, as the pages of the services tell it: for ``hutong status``, ``top`` and ``doctor``."""
