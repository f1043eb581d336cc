#!/usr/bin/env python3
"""The tables of docs/peers.md from a fixed file of results: right numbers, and no page from a broken one."""

import copy
import json
import pathlib
import sys
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(BENCH))

from peers import page, pictures

RESULTS = json.loads((BENCH / "peers" / "sample.json").read_text())
PAGE = (BENCH.parent / "docs" / "peers.md").read_text()


def section(results, name):
    return page.SECTIONS[name](results)


class Tables(unittest.TestCase):
    def setUp(self):
        self.results = copy.deepcopy(RESULTS)

    def test_a_call_costs_what_the_run_takes_longer(self):
        calls = section(self.results, "calls")
        self.assertIn("| **Calltap: hooked** | 4.1 (4 .. 4.2) | 4.1 (4 .. 4.2) |", calls)
        self.assertIn("| XRay 19: nothing | 10 (10 .. 10) |", calls)
        self.assertNotIn("uftrace", calls)

    def test_times_plain(self):
        self.assertIn("| **Calltap: `calltap record`** | 21 (21 .. 22) |", section(self.results, "slowdown"))

    def test_the_cheapest_peer_is_compared(self):
        ratios = section(self.results, "ratios")
        self.assertIn("| Hooked, nothing written | 0.73 (empty hooks) |", ratios)
        self.assertIn("| Recorded | 5.00 (XRay 19: flight) |", ratios)
        self.assertIn("| Counted | none |", ratios)

    def test_recordings(self):
        rows = section(self.results, "recordings").splitlines()
        self.assertIn("| **Calltap: `calltap record`** | 8.00 | 0 | 21.00 (21.00 .. 22.00) | 0.000 (0.000 .. 0.000) | "
                      "200.00 (160.00 .. 200.00) |", rows)
        self.assertTrue(any(row.startswith("| XRay 19: flight | 8.00 | not told |") for row in rows))

    def test_first_time_is_not_again(self):
        self.assertIn("| **Calltap: counted** | 40.00 | 11.00 (10.00 .. 12.00) | 8.50 (8.00 .. 9.00) |",
                      section(self.results, "switching"))

    def test_threads(self):
        self.assertIn("| 20 (20 .. 20) | 22 (22 .. 22) | 1.10 (1.10 .. 1.10) |", section(self.results, "threads"))

    def test_what_is_missing_is_said(self):
        missing = section(self.results, "missing")
        self.assertIn("- leaf loop, SQLite: uftrace is not installed: uftrace: `-pg`", missing)
        self.assertIn("- memcached, all of it: fetch.sh failed with status 1", missing)

    def test_a_busy_machine_is_said(self):
        self.assertIn("Nothing else ran", section(self.results, "machine"))
        self.results["load_before"] = 9.0
        self.assertIn("other work too", section(self.results, "machine"))

    def test_peers_that_are_ahead_are_said_with_the_reason(self):
        behind = section(self.results, "behind")
        self.assertIn("- **empty hooks**: hooked, leaf loop: 3.00 against 4.10 ns; hooked, SQLite: 3.00 against 4.10 ns. "
                      "*The compiler put in two calls", behind)
        self.assertIn("start and end, recorded: 2.00 against 50.00 ms", behind)
        self.assertIn("- **XRay 19: nothing**: the first time: 4.00 against 40.00 ms", behind)
        self.assertNotIn("recorded, leaf loop", behind)

    def test_a_peer_that_falls_back_is_no_longer_said(self):
        for workload in ("leaf", "sqlite"):
            for sample in self.results["workloads"][workload]["contenders"]["cyg-empty"]["samples"]:
                sample["measured"] = 9_000_000
        self.assertNotIn("empty hooks", section(self.results, "behind"))


class BrokenResults(unittest.TestCase):
    def broken(self, change):
        results = copy.deepcopy(RESULTS)
        change(results)
        with self.assertRaises((KeyError, ValueError, TypeError)):
            page.filled(PAGE, results)

    def test_without_plain_runs(self):
        self.broken(lambda r: r["workloads"]["leaf"]["contenders"]["calltap-hooked"].pop("plain"))

    def test_a_round_is_missing(self):
        self.broken(lambda r: r["workloads"]["sqlite"]["contenders"]["calltap-recorded"]["samples"].pop())

    def test_a_contender_that_nobody_knows(self):
        self.broken(lambda r: r["contenders"].pop("calltap-recorded"))

    def test_no_machine(self):
        self.broken(lambda r: r.pop("machine"))


class Page(unittest.TestCase):
    def test_every_section_is_filled_and_the_rest_stays(self):
        filled = page.filled(PAGE, RESULTS)
        self.assertEqual(filled.count("<!-- end -->"), len(page.SECTIONS))
        self.assertIn("## What is measured, and how", filled)
        self.assertIn("a processor, 2 CPUs, Linux 6.1", filled)
        self.assertEqual(page.filled(filled, RESULTS), filled)

    def test_a_mark_is_missing(self):
        with self.assertRaises(ValueError):
            page.filled(PAGE.replace("<!-- peers: calls -->", ""), RESULTS)

    def test_pictures(self):
        import xml.etree.ElementTree as xml
        with tempfile.TemporaryDirectory() as directory:
            pictures.write(RESULTS, pathlib.Path(directory))
            for name in ("peers-leaf.svg", "peers-sqlite.svg", "peers-slowdown.svg", "peers-reading.svg"):
                picture = xml.fromstring((pathlib.Path(directory) / name).read_text())
                self.assertIn("20.00" if name == "peers-leaf.svg" else "", xml.tostring(picture, "unicode"))
            self.assertFalse((pathlib.Path(directory) / "peers-memcached.svg").exists())


if __name__ == "__main__":
    unittest.main()
