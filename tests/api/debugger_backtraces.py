"""gdb's backtraces of hooked calls: at stops in the body and in whatever a site runs for its clients, and at each
instruction in between, the callers of the hooked function are there, down to main().

Run by gdb itself: gdb -nx -q -batch -x debugger_backtraces.py --args debugger_stops stop_in_each_kind
"""
import os
import pathlib
import re
import traceback

import gdb  # pylint: disable=import-error

SOURCE = pathlib.Path(__file__).with_name("debugger_stops.c")
CALLERS = ["caller_of_hooked", "stop_in_kind", "for_each_dispatch_kind", "stop_in_each_kind", "run_check", "main"]
FUNCTIONS = {"body": "hooked_function", "replacement": "replacement", "entry": "on_entry",
             "probe entry": "on_probe_entry", "probe exit": "on_probe_exit", "set ip": "set_ip",
             "override": "override_return", "direct": "in_direct_trampoline"}
LIBRARY = "libcalltap.so"
TRAMPOLINES = "libcalltap-trampolines.so"
LIST = ("ct_call_handler", "ct_list_entries", "ct_list_exits")  # between a trampoline and a list's handlers
MOST_STEPS = 3000  # of one hooked call
MOST_PROBLEMS = 20


def expected_stops(clients):
    """Where a call stops on a site with these clients, in order (dispatch_kinds.h has the letters)."""
    entries = [{"e": "entry", "p": "probe entry", "i": "set ip", "o": "override"}[c]
               for c in clients.lower() if c in "epio"]
    overridden = "o" in clients.lower()
    set_ip = "i" in clients.lower()
    direct = ["direct"] if "d" in clients and not overridden and not set_ip else []
    body = [] if overridden else ["replacement" if "r" in clients or set_ip else "body"]
    exits = ["probe exit"] * sum(c in "px" for c in clients.lower())
    return entries + direct + body + exits


def is_around(clients):
    return any(c in "px" for c in clients.lower())


def expected_trampoline(clients, place):
    """The assembly that the frame below the stopped function is of, or nothing: the function was jumped to."""
    vectors = "_vectors" if any(c.isupper() for c in clients) else ""
    if place in ("body", "replacement"):
        return "ct_probe" + vectors if is_around(clients) else None
    if place == "direct":
        return "ct_direct_slots"
    return ("ct_probe" if is_around(clients) else "ct_entry") + vectors


class Problems:
    def __init__(self):
        self.count = 0

    def add(self, clients, where, text):
        self.count += 1
        if self.count <= MOST_PROBLEMS:
            print(f'FAIL "{clients}" {where}: {text}')


def frames():
    """The name and the module of each frame, the newest first."""
    found = []
    frame = gdb.newest_frame()
    while frame is not None and len(found) < 100:
        module = gdb.solib_name(frame.pc())
        found.append((frame.name(), os.path.basename(module) if module else None))
        frame = frame.older()
    return found


def split(found):
    """The names of the frames that are Calltap's or the hooked function's, and of those of the callers."""
    names = [name for name, _ in found]
    at = names.index(CALLERS[0]) if CALLERS[0] in names else len(names)
    return found[:at], names[at:]


def check_stop(problems, clients, place):
    found = frames()
    inner, callers = split(found)
    text = " < ".join(f"{name}" for name, _ in found)
    if callers != CALLERS:
        return problems.add(clients, place, f"the callers are not {CALLERS}: {text}")
    if inner[0][0] != FUNCTIONS[place]:
        return problems.add(clients, place, f"stopped elsewhere: {text}")
    inner = inner[1:]
    if place == "direct":
        if not inner or inner[0][0] != "direct_trampoline":
            return problems.add(clients, place, f"not in the trampoline: {text}")
        inner = inner[1:]
    foreign = [name for name, module in inner if module not in (LIBRARY, TRAMPOLINES)]
    trampolines = [name for name, module in inner if module == TRAMPOLINES and name not in LIST]
    expected = expected_trampoline(clients, place)
    wanted = [] if expected is None else [expected]
    if place == "direct" and is_around(clients):
        wanted.append(expected_trampoline(clients, "body"))
    if foreign or trampolines != wanted:
        return problems.add(clients, place, f"the trampolines are not {wanted}: {text}")
    return None


def has_no_callers(entry):
    """In the jump before a function, and the stub that it leads to: docs/register-contract.md, "Unwinding"."""
    pc = gdb.newest_frame().pc()
    if entry - 16 <= pc < entry:
        return True
    return gdb.newest_frame().name() is None and gdb.solib_name(pc) is None and gdb.find_pc_line(pc).symtab is None


def check_steps(problems, clients, returned_at, entry):
    """From the stop in the caller to the one behind the call. The other breakpoints are disabled."""
    steps = checked = 0
    while gdb.newest_frame().pc() != returned_at:
        gdb.execute("stepi", to_string=True)
        steps += 1
        if steps > MOST_STEPS:
            problems.add(clients, "stepping", f"not back after {steps} instructions")
            break
        if has_no_callers(entry):
            continue
        checked += 1
        inner, callers = split(frames())
        if callers != CALLERS:
            problems.add(clients, f"instruction {steps} ({gdb.newest_frame().pc():#x})",
                         f"{[name for name, _ in inner]} < {callers}")
        if len({name for name, _ in inner}) != len(inner):
            problems.add(clients, f"instruction {steps}", f"a frame twice: {inner}")
    return checked


class Breakpoints:
    """One at each line of the program that says STOP."""

    def __init__(self):
        self.places = {}
        for number, line in enumerate(SOURCE.read_text(encoding="utf-8").splitlines(), 1):
            place = re.match(r" *STOP; +// (.*)", line)
            if place:
                breakpoint_ = gdb.Breakpoint(f"{SOURCE.name}:{number}")
                breakpoint_.silent = True
                self.places[breakpoint_.number] = (place[1], breakpoint_)

    def run_to_next(self):
        """The place of the next stop, or nothing when the program has ended."""
        stopped_at = []

        def note(event):
            if isinstance(event, gdb.BreakpointEvent):
                stopped_at.extend(self.places[b.number][0] for b in event.breakpoints)

        gdb.events.stop.connect(note)
        gdb.execute("continue", to_string=True)
        gdb.events.stop.disconnect(note)
        return stopped_at[0] if stopped_at else None

    def enable(self, enabled):
        for _, breakpoint_ in self.places.values():
            breakpoint_.enabled = enabled


def check_program(problems):
    gdb.execute("set breakpoint pending on")
    gdb.execute("set debuginfod enabled off")
    gdb.execute("set suppress-cli-notifications on")
    gdb.execute("tbreak main", to_string=True)
    gdb.execute("run", to_string=True)
    breakpoints = Breakpoints()
    entry = int(gdb.parse_and_eval("(unsigned long)&hooked_function"))
    stops = steps = kinds = 0
    place = breakpoints.run_to_next()
    while place is not None:
        clients = gdb.parse_and_eval("clients_at_work").string()
        places = []
        while (place := breakpoints.run_to_next()) not in ("returned", None):
            places.append(place)
            check_stop(problems, clients, place)
        if places != expected_stops(clients):
            problems.add(clients, "stops", f"{places}, not {expected_stops(clients)}")
        stops += len(places)
        kinds += 1
        returned_at = gdb.newest_frame().pc()
        if breakpoints.run_to_next() != "caller":
            problems.add(clients, "stops", "no second call")
            break
        breakpoints.enable(False)
        steps += check_steps(problems, clients, returned_at, entry)
        breakpoints.enable(True)
        place = breakpoints.run_to_next()
    status = gdb.parse_and_eval("$_exitcode")
    if status.type.code == gdb.TYPE_CODE_VOID or int(status) != 0:
        problems.add("", "the program", f"ends with {status}")
    if kinds < 30:
        problems.add("", "kinds", f"{kinds}")
    print(f"{kinds} kinds, {stops} stops, {steps} instructions: {problems.count} problems")


found_problems = Problems()
try:
    check_program(found_problems)
except Exception:  # pylint: disable=broad-except
    traceback.print_exc()
    found_problems.count += 1
if gdb.selected_inferior().pid != 0:
    gdb.execute("kill", to_string=True)
gdb.execute(f"quit {1 if found_problems.count else 0}")
