"""The few exceptions of actsearch; each is also a builtin kind."""


class ActsearchError(Exception):
    """Base of every error that a user can cause; the command line prints it as one line."""


class ParseError(ActsearchError, ValueError):
    """A formula cannot be read; the message gives line and column."""


class DerivativeError(ActsearchError, ValueError):
    """An operator that stands for a derivative is to be differentiated itself."""


class ConfigError(ActsearchError, ValueError):
    """A setting, flag or configuration file is not acceptable."""


class TaskError(ActsearchError, RuntimeError):
    """A task cannot be found, loaded or trained."""


class RunError(ActsearchError, RuntimeError):
    """A run directory is missing, in use, damaged or does not fit its configuration."""
