"""python3 -m unittest discover -s Benchmarks/harness/tests -t Benchmarks"""

import json
import os
import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

from harness import Report, curves, environment, interleave, json_lines, medians, number, spread, table
from harness.environment import instruction_sets
from harness.plot import frontier, stretched
from harness.report import shown_command


class Environment(unittest.TestCase):
    def test_says_where_it_is(self):
        found = environment(["pip", "no-such-package-at-all"])
        self.assertGreaterEqual(found["cores"], 1)
        self.assertTrue(found["cpu"] and found["commit"])
        self.assertEqual(found["versions"]["no-such-package-at-all"], "missing")
        json.dumps(found)

    def test_names_only_instruction_sets_that_choose_kernels(self):
        self.assertEqual(instruction_sets("fpu avx2 sse2 avx512_vnni"), ["avx2", "avx512_vnni"])


class Measure(unittest.TestCase):
    def test_reads_json_lines_and_ignores_the_rest(self):
        result = json_lines([sys.executable, "-c", "print('hello'); print('{\"a\": 1}'); print('{broken'); print('{\"a\": 2}')"])
        self.assertTrue(result.ok)
        self.assertEqual(result.rows, [{"a": 1}, {"a": 2}])
        self.assertGreater(result.peak_bytes, 1 << 20)

    def test_counts_the_cpu_time_of_this_child_alone(self):
        code = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass"
        busy, idle = (json_lines([sys.executable, "-c", code.format(t)]) for t in (0.4, 0.0))
        self.assertGreater(busy.cpu_s, 0.4)
        self.assertLess(idle.cpu_s, 0.35)

    def test_a_failure_keeps_its_last_words(self):
        result = json_lines([sys.executable, "-c", "import sys; print('{\"a\": 1}'); sys.exit('no such index')"])
        self.assertFalse(result.ok)
        self.assertEqual((result.status, result.rows), (1, [{"a": 1}]))
        self.assertIn("no such index", result.error)

    def test_a_missing_command_is_a_failed_result(self):
        result = json_lines(["/no/such/command"])
        self.assertEqual(result.status, 127)
        self.assertIn("No such file", result.error)

    def test_a_child_that_hangs_is_ended(self):
        result = json_lines([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.3)
        self.assertFalse(result.ok)
        self.assertIn("ran past 0.3 s", result.error)

    def test_an_interruption_leaves_no_child_running(self):
        def stop(row):
            raise KeyboardInterrupt(row["pid"])

        with self.assertRaises(KeyboardInterrupt) as interrupted:
            json_lines([sys.executable, "-uc", "import json, os, time; print(json.dumps({'pid': os.getpid()})); time.sleep(60)"], echo=stop)
        with self.assertRaises(ProcessLookupError):
            os.kill(interrupted.exception.args[0], 0)

    def test_a_child_that_floods_standard_error_does_not_block(self):
        result = json_lines(
            [sys.executable, "-c", "import sys; sys.stderr.write('x' * 2_000_000 + '\\n'); print('{\"a\": 1}')"], timeout=20
        )
        self.assertEqual(result.rows, [{"a": 1}])

    def test_repetitions_interleave_and_turn_round(self):
        seen = []
        interleave({n: (lambda r, n=n: seen.append((n, r))) for n in "ABC"}, 3)
        self.assertEqual("".join(n for n, _ in seen), "ABCCBAABC")
        self.assertEqual([r for _, r in seen], [0, 0, 0, 1, 1, 1, 2, 2, 2])

    def test_medians_by_key(self):
        rows = [
            {"method": m, "target": 0.9, "qps": q, "ok": True, "setting": {"ef": 8}} for m, q in (("a", 1), ("b", 10), ("a", 3), ("a", 2))
        ]
        merged = medians(rows, ["method", "target"], spread_of="qps")
        self.assertEqual([(r["method"], r["qps"], r["repetitions"]) for r in merged], [("a", 2, 3), ("b", 10, 1)])
        self.assertEqual((merged[0]["spread"], merged[1]["spread"]), (1.0, 0.0))
        self.assertEqual((merged[0]["target"], merged[0]["setting"], merged[0]["ok"]), (0.9, {"ef": 8}, True))

    def test_medians_of_rows_that_lack_a_number(self):
        merged = medians([{"m": "a"}, {"m": "a", "x": 4}, {"m": "a", "x": 2}], ["m"])
        self.assertEqual(merged[0]["x"], 3)

    def test_spread(self):
        self.assertEqual(spread([]), 0)
        self.assertEqual(spread([5]), 0)
        self.assertAlmostEqual(spread([9, 10, 12]), 0.3)


class Tables(unittest.TestCase):
    def test_numbers(self):
        cases = [
            (None, "-"),
            (0, "0"),
            (0.9512, "0.951"),
            (12.3456, "12.3"),
            (1234.6, "1,235"),
            (1234567, "1,234,567"),
            ("a|b", "a\\|b"),
            (float("nan"), "-"),
            (True, "yes"),
            ({"ef": 10, "M": 16}, "ef=10 M=16"),
            (0.0, "0"),
        ]
        for value, text in cases:
            self.assertEqual(number(value), text)

    def test_a_table_is_rectangular_and_numbers_stand_right(self):
        lines = table(["method", "QPS"], [["faiss", 1234.5], {"method": "b", "QPS": None}]).splitlines()
        self.assertEqual(len({len(l) for l in lines}), 1)
        self.assertEqual(lines[1][-3:], "-:|")
        self.assertEqual(lines[3], "| b      |     - |")

    def test_a_table_of_words_stands_left(self):
        self.assertNotIn(":", table(["a"], [["x"]]).splitlines()[1])

    def test_an_empty_table(self):
        self.assertEqual(len(table(["a", "b"], []).splitlines()), 2)


class Reports(unittest.TestCase):
    def test_a_report_says_where_its_figures_come_from_and_keeps_the_rows(self):
        with tempfile.TemporaryDirectory() as folder:
            report = Report("Toy", packages=["pip"], command=["bench.py", "--k", "10"], seed=7, data_set="toy")
            report.section("Result")
            report.table(["a"], [[1]])
            report.raw([{"a": 1}])
            path = report.write(pathlib.Path(folder) / "x" / "toy.md")
            text = path.read_text()
            for part in ("# Toy", "    bench.py --k 10", "seed 7", "data set toy", "Commit: ", "pip ", "| a |"):
                self.assertIn(part, text)
            rows = [json.loads(l) for l in path.with_suffix(".jsonl").read_text().splitlines()]
            self.assertIn("environment", rows[0])
            self.assertEqual(rows[1:], [{"a": 1}])

    def test_a_shown_command_names_no_folder_of_this_machine(self):
        shown = shown_command([str(pathlib.Path.cwd() / "run.py"), str(pathlib.Path.home() / "x y"), "/somewhere/else/bin/tool", "0.5"])
        self.assertEqual(shown.split()[0], "run.py")
        self.assertNotIn(str(pathlib.Path.home()), shown)
        self.assertNotIn("/somewhere", shown)
        self.assertTrue(shown.endswith(" tool 0.5"))


class Curves(unittest.TestCase):
    SERIES = {"outrider": [(0.85, 9000), (0.95, 6000), (0.99, 3000)], "hnsw <32>": [(0.7, 8000), (0.9, 5000), (0.9, 4000), (0.995, 900)]}

    def test_only_the_frontier_counts(self):
        self.assertEqual(frontier([(0.9, 5), (0.9, 4), (0.95, 3), (0.92, 2), (0.8, 5)]), [(0.9, 5), (0.95, 3)])

    def test_is_well_formed_and_names_every_method(self):
        root = ElementTree.fromstring(curves(self.SERIES, "A & B", highlight="outrider"))
        text = "".join(root.itertext())
        for name in ("A & B", "outrider", "hnsw <32>", "recall@10"):
            self.assertIn(name, text)
        self.assertEqual(len(root.findall("{*}polyline")), 2)

    def test_more_recall_is_right_and_more_speed_is_up(self):
        root = ElementTree.fromstring(curves({"a": [(0.9, 5000), (0.99, 500)]}, "t"))
        points = [tuple(map(float, p.split(","))) for p in root.find("{*}polyline").get("points").split()]
        self.assertLess(points[0][0], points[1][0])
        self.assertLess(points[0][1], points[1][1])

    def test_everything_lies_inside_the_picture(self):
        root = ElementTree.fromstring(curves(self.SERIES, "t"))
        for line in root.findall("{*}polyline"):
            for point in line.get("points").split():
                x, y = map(float, point.split(","))
                self.assertTrue(78 <= x <= 740 and 64 <= y <= 540, point)

    def test_a_line_that_comes_from_the_left_is_cut_at_the_axis(self):
        root = ElementTree.fromstring(curves({"a": [(0.7, 8000), (0.9, 2000)]}, "t", x_min=0.8))
        first = root.find("{*}polyline").get("points").split()[0].split(",")
        self.assertEqual(float(first[0]), 78.0)

    def test_many_methods_stay_distinct(self):
        root = ElementTree.fromstring(curves({f"m{i}": [(0.9, 100 + i)] for i in range(20)}, "t"))
        looks = {(l.get("stroke"), l.get("stroke-dasharray")) for l in root.findall("{*}polyline")}
        self.assertEqual(len(looks), 20)

    def test_the_recall_axis_gives_room_to_what_is_hard(self):
        at = [stretched(r, 0.8, 1.0) for r in (0.8, 0.9, 0.95, 0.99, 1.0)]
        self.assertEqual(at, sorted(at))
        self.assertAlmostEqual(at[0], 0)
        self.assertAlmostEqual(at[-1], 1)
        self.assertGreater(at[3] - at[2], at[1] - at[0])

    def test_nothing_to_draw_is_still_a_picture(self):
        root = ElementTree.fromstring(curves({"a": []}, "t"))
        self.assertEqual(root.findall("{*}polyline"), [])
        self.assertNotIn("nan", curves({"a": []}, "t"))


if __name__ == "__main__":
    unittest.main()
