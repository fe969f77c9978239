"""The console that a search writes to."""

from rich.console import Console


class ReadConsole(Console):
    """Its reader may go (`| head`): that is an OSError as any other, where rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError
