"""Programs of contenders that run in virtual environments of their own; nothing here may import Hutong or the bench."""
