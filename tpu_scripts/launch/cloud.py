"""One machine as the cloud's service sees it: asked for, looked at through outages, deleted."""

import json
import time
from collections.abc import Callable

from qlae.common.errors import RunFailed, StorageError, UserError
from tpu_scripts.launch.faults import RETRIED, UNSEEN, Fault, classify, make_final_error
from tpu_scripts.launch.machines import Machine, Observed, State
from tpu_scripts.launch.patience import Patience
from tpu_scripts.launch.shell import Result, Shell, quote

Say = Callable[[str], None]

_NOTHING_MADE = {Fault.PERMISSION, Fault.QUOTA, Fault.EXISTS, Fault.INVALID, Fault.ABSENT}


class Lost(Exception):
    """The machine, or the job on it (`in_place`), has to be set up again."""

    def __init__(self, why: str, in_place: bool = False):
        super().__init__(why)
        self.in_place = in_place


class OutOfSight(StorageError):
    """The machine cannot be seen from here; it may be as well as before, and is left alone."""


class Cloud:
    """The service's side of a machine.

    Attributes:
        may_exist: whether there may be a machine that costs money.
        outages: how many times the service was out of reach, and came back.
    """

    def __init__(self, machine: Machine, shell: Shell, patience: Patience, say: Say):
        self.machine = machine
        self.may_exist = False
        self.outages = 0
        self._shell = shell
        self._patience = patience
        self._say = say

    def check_name(self) -> None:
        """Raises `UserError` for a name that is taken, or a service that refuses."""
        result = self._shell.run(self.machine.describe(), seconds=self._patience.request)
        if result.ok:
            raise UserError(
                f"{self.machine.name!r} exists already: choose another --name, go on with it "
                f"(--attach), or delete it: {quote(self.machine.delete())}"
            )
        if classify(result.stderr) is not Fault.ABSENT:
            raise make_final_error(f"cannot look for {self.machine.name!r}", result.stderr)

    def create(self) -> None:
        """Asks for the machine. Raises `Lost` where asking again may help."""
        name = self.machine.name
        self._say(f"creating {name}")
        existed = self.may_exist  # An earlier one may be left that could not be deleted.
        self.may_exist = True  # From here on an interrupted command may have made it.
        result = self._shell.run(self.machine.create())
        if result.ok:
            return
        fault = classify(result.stderr)
        if fault in _NOTHING_MADE:
            self.may_exist = existed  # One made by others is not ours.
        if fault in RETRIED:
            raise Lost(f"{name} not created, {fault.value}: {result.last_line}")
        raise make_final_error(f"cannot create {name!r}", result.stderr)

    def wait_until_active(self) -> None:
        """Waits. Raises `Lost`, or `RunFailed` after the time given."""
        deadline = time.monotonic() + self._patience.provision
        word = ""
        while (seen := self.look()).state is not State.ACTIVE:
            if seen.word != word:
                word = seen.word
                self._say(f"{self.machine.name} is {word}")
            if time.monotonic() > deadline:
                waited = f"{self._patience.provision:g} s"
                raise RunFailed(f"{self.machine.name} still {word} after {waited}; gave it up")
            self._shell.wait(self._patience.poll)
        self._say(f"{self.machine.name} is {seen.word}")

    def look(self) -> Observed:
        """Looks at the state, through outages.

        Raises:
            Lost: only deleting and creating can cure it.
            RunFailed: someone else deleted it.
            UserError: the service says why it can never be.
            OutOfSight: no answer for as long as the launcher watches.
        """
        seen = self.observe()
        name = self.machine.name
        if seen.state is State.LOST:
            reason = f": {' '.join(seen.reason.split())}" if seen.reason else ""
            if classify(seen.reason) in _NOTHING_MADE:
                raise make_final_error(f"{name} is {seen.word}", seen.reason)
            raise Lost(f"{name} is {seen.word}{reason}")
        if seen.state in {State.ABSENT, State.DELETING}:
            raise RunFailed(f"{name} was deleted by someone else: not made again")
        return seen

    def observe(self, stoppable: bool = True) -> Observed:
        """Returns the state as it is. Raises `OutOfSight`."""
        away_since: float | None = None
        while True:
            result = self._shell.run(
                self.machine.describe(), stoppable=stoppable, seconds=self._patience.request
            )
            seen = self._read(result)
            if seen is not None:
                if away_since is not None:
                    self.outages += 1
                    self._say(f"{self.machine.name} is in sight again: {seen.word}")
                return seen
            if away_since is None:
                away_since = time.monotonic()
                self._say(
                    f"no sight of {self.machine.name}, which is left alone meanwhile: "
                    f"{result.last_line}"
                )
            if classify(result.stderr) not in UNSEEN:  # Such as a login that has expired.
                raise OutOfSight(f"may not look at {self.machine.name}: {result.last_line}")
            if time.monotonic() > away_since + self._patience.outage:
                raise OutOfSight(f"no sight of {self.machine.name} for {self._patience.outage:g} s")
            self._wait(stoppable)

    def delete(self) -> None:
        """Deletes the machine if there may be one; not to be interrupted, since it costs money."""
        if not self.may_exist:
            return
        self._say(f"deleting {self.machine.name}")
        result = Result(0, "", "")
        tries, deadline = 5, time.monotonic() + self._patience.outage
        while tries > 0 and time.monotonic() < deadline:
            result = self._shell.run(self.machine.delete(), stoppable=False)
            fault = classify(result.stderr)
            if result.ok or fault is Fault.ABSENT:
                if self._is_gone():  # Done is what can be seen.
                    self.may_exist = False
                    return
                tries -= 1
            elif fault is not Fault.NETWORK:
                tries -= 1
                self._say(f"not deleted ({result.last_line}): trying again")
            self._wait(stoppable=False)
        self._say(
            f"warning: {self.machine.name} could not be deleted and may still cost money "
            f"({result.last_line}); {self.machine.own_end}; delete it by hand: "
            f"{quote(self.machine.delete())}"
        )

    def _is_gone(self) -> bool:
        for _ in range(20):
            result = self._shell.run(
                self.machine.describe(), stoppable=False, seconds=self._patience.request
            )
            if not result.ok and classify(result.stderr) is Fault.ABSENT:
                return True
            seen = self._read(result)
            if seen is not None and seen.state is not State.DELETING:
                return False
            self._wait(stoppable=False)
        return False

    def _read(self, result: Result) -> Observed | None:
        if not result.ok:
            absent = classify(result.stderr) is Fault.ABSENT
            return Observed(State.ABSENT, "gone") if absent else None
        try:
            return self.machine.observe(result.stdout)
        except json.JSONDecodeError:
            return None

    def _wait(self, stoppable: bool) -> None:
        if stoppable:
            self._shell.wait(self._patience.poll)
        else:
            time.sleep(min(self._patience.poll, 10.0))
