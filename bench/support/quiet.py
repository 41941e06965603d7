"""Whether the cores of a measuring did anything else."""

import os
import resource
import time

TICK = os.sysconf("SC_CLK_TCK")
CORES = 0.15  # by which ticks and what the kernel does in nobody's name may pass for others' work


def busy_seconds(cpus):
    """Of these CPUs since the machine was started: everything but idling, stolen time too."""
    with open("/proc/stat") as stat:
        rows = {row[0]: [int(value) for value in row[1:9]] for row in map(str.split, stat)
                if row[0].startswith("cpu")}  # fmt: skip
    return sum(sum(rows[f"cpu{cpu}"]) - rows[f"cpu{cpu}"][3] - rows[f"cpu{cpu}"][4]
               for cpu in cpus) / TICK  # fmt: skip


def process_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def own_seconds():
    """Of this process and of the children it has waited for."""
    return sum(usage.ru_utime + usage.ru_stime
               for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))  # fmt: skip


class Watch:
    """From its making to others(): what these CPUs did that neither we nor the server did."""

    def __init__(self, cpus, pid=None):
        self.cpus, self.pid = cpus, pid
        self.before = self._now()

    def _now(self):
        known = own_seconds()
        try:
            known += process_seconds(self.pid) if self.pid else 0
        except OSError:  # the server has ended; that is told elsewhere
            pass
        return time.monotonic(), busy_seconds(self.cpus) - known

    def others(self):
        """In cores, over the time that has passed."""
        (begun, before), (ended, after) = self.before, self._now()
        return max(after - before, 0) / max(ended - begun, 1 / TICK)
