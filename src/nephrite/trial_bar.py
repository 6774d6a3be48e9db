"""The one bar of `nephrite trial`, fed by what workers say; plain lines now and then where there is no terminal."""

from __future__ import annotations

from multiprocessing import Pipe
from threading import Event, Thread
from types import TracebackType

from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from nephrite.jobs import Chain
from nephrite.pace import Pace, progress_text
from nephrite.progress import Share, new_bar, read_message
from nephrite.terminal import is_quiet

TWENTIETHS = 20  # of the work, after each of which a plain line is told
POLL = 0.2  # seconds


class TrialBar:
    """Shows how far a trial is, and prints what its workers print, within a `with` block.

    Args:
        pace: of the trial.
        processes: side by side.

    Attributes:
        pipe: its end that workers write to.
    """

    def __init__(self, pace: Pace, processes: int) -> None:
        self.pace, self.processes, self.quiet, self.told = pace, processes, is_quiet(), 0
        self._reader, self.pipe = Pipe(duplex=False)
        self._ended, self._thread = Event(), Thread(target=self._listen, daemon=True)
        text = (TextColumn("{task.fields[steps]}"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
        columns = (TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn(), *text)
        self.bar = new_bar(only_on_terminal=True, columns=columns)
        steps, left = progress_text(pace, processes)
        self.task = self.bar.add_task("trial", total=1.0, steps=steps, left=left)
        self.bar.update(self.task, completed=pace.share)

    def __enter__(self) -> TrialBar:
        self.bar.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.bar.stop()
        self._reader.close()
        self.pipe.close()

    def end(self, chain: Chain) -> None:
        """Show that all jobs of a chain have ended."""
        self.pace.end(chain)
        self._show()

    def _listen(self) -> None:
        """Take messages until the block ends, and then those that are left."""
        while self._reader.poll(POLL) or not self._ended.is_set():
            if self._reader.poll():
                self._take(read_message(self._reader.recv_bytes()))

    def _take(self, said: Share | str) -> None:
        if isinstance(said, Share):
            self.pace.tell(said)
            self._show()
        elif not self.quiet:
            self.bar.console.print(said, markup=False, highlight=False, soft_wrap=True)

    def _show(self) -> None:
        share, (steps, left) = self.pace.share, progress_text(self.pace, self.processes)
        self.bar.update(self.task, completed=share, steps=steps, left=left)
        # without a terminal
        if self.bar.disable and not self.quiet and int(share * TWENTIETHS) > self.told:
            self.told = int(share * TWENTIETHS)
            self.bar.console.print(f"trial: {share:.0%}, {steps}, {left}", highlight=False, soft_wrap=True)
