"""scripts/walls.py finds what breaks each of its rules, in a small tree of its own, and nothing else there."""

import contextlib
import importlib.util
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("walls", ROOT / "scripts/walls.py")
walls = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(walls)

# low/ has two modules, one above the other; high/ stands on low/.
CLEAN = {
    "low/one.h": "struct one { int n; };\nint one_get(void);\n",
    "low/one.c": '#include "low/one.h"\nint one_get(void) { return 1; }\n',
    "low/two.h": '#include "low/one.h"\nint two_get(void);\n',
    "low/two_impl.h": '#include "low/two.h"\nint two_half(void);\n',
    "low/two.c": '#include "low/two_impl.h"\n/* curl_ in a comment is no call */\n'
                 "int two_half(void) { return 0; }\nint two_get(void) { return one_get(); }\n",
    "low/meson.build": "low_lib = static_library('low', 'one.c', 'two.c')\n"
                       "low_dep = declare_dependency(link_with: low_lib)\n",
    "high/top.h": '#include "low/two.h"\nint top_get(void);\n',
    "high/top.c": '#include "high/top.h"\nint top_get(void) { return two_get(); }\n',
    "high/meson.build": "high_lib = static_library('high', 'top.c', dependencies: [low_dep])\n"
                        "high_dep = declare_dependency(link_with: high_lib)\n",
    "end/end.c": '#include "high/top.h"\nint end_get(void);\nint end_get(void) { return top_get(); }\n',
    "end/meson.build": "end_lib = static_library('end', 'end.c', dependencies: [high_dep])\n"
                       "end_dep = declare_dependency(link_with: end_lib)\n",
}
CLEAN["high/meson.build"] = CLEAN["high/meson.build"].replace("high_lib)", "high_lib, dependencies: [low_dep])")
# one.c in a circle, which only object files show.
CALLS_TWO = '#include "low/one.h"\nint two_get(void);\nint one_get(void) { return two_get(); }\n'


class Walls(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.root = pathlib.Path(place.name)
        for path, text in CLEAN.items():
            self.write("src/" + path, text)
        for table in [walls.STANDING_CIRCLES, walls.STANDING_WORDS]:
            self.addCleanup(table.update, dict(table))
            table.clear()

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def add(self, path, text):
        self.write("src/" + path, text + CLEAN[path])

    def compile(self):
        for path in self.root.glob("src/*/*.c"):
            objects = self.root / f"build-test/src/{path.parent.name}/lib{path.parent.name}.a.p"
            objects.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cc", "-c", "-I", self.root / "src", path, "-o", objects / (path.name + ".o")],
                           check=True)

    def findings(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = walls.main(self.root)
        self.assertEqual(status, 1 if out.getvalue() else 0)
        return out.getvalue()

    def finds(self, place, *words):
        """One finding, which begins with the place and has the words."""
        found = [line for line in self.findings().splitlines() if not line.startswith("    ")]
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(place + ": "), found)
        for word in words:
            self.assertIn(word, found[0])

    def test_a_clean_tree_has_no_findings(self):
        self.compile()
        self.assertEqual(self.findings(), "")

    def test_folders_in_a_circle(self):
        self.add("low/one.c", '#include "high/top.h"\n')
        self.write("src/low/meson.build", CLEAN["low/meson.build"].replace("'two.c'", "'two.c', dependencies: high_dep"))
        self.finds("src/high", "folders in a circle: high, low")

    def test_headers_in_a_circle(self):
        self.add("low/one.h", '#include "low/two_impl.h"\n')
        self.finds("src/low/one.h", "headers in a circle: one.h, two.h, two_impl.h")

    def test_modules_in_a_circle_of_calls(self):
        self.write("src/low/one.c", CALLS_TWO)
        self.compile()
        self.finds("src/low", "modules in a circle of calls: one, two")

    def test_a_standing_circle_is_let_be_and_told_when_it_is_gone(self):
        walls.STANDING_CIRCLES["low", "one", "two"] = "because"
        self.finds("scripts/walls.py", "STANDING_CIRCLES", "this circle is gone")
        self.write("src/low/one.c", CALLS_TWO)
        self.compile()
        self.assertEqual(self.findings(), "")

    def test_a_private_header_of_another_folder(self):
        self.add("high/top.c", '#include "low/two_impl.h"\n')
        self.finds("src/high/top.c:1", "private header: low/two_impl.h belongs to low/")

    def test_a_word_of_another_folder(self):
        self.write("src/client/curl.c", "int curl_easy;\n")
        self.write("src/client/meson.build", "client_lib = static_library('client')\nclient_dep = declare_dependency()\n")
        self.assertEqual(self.findings(), "")
        self.write("src/low/one.c", CLEAN["low/one.c"] + "int curl_multi;\n")
        self.finds("src/low/one.c:3", "word of client/: curl_")
        walls.STANDING_WORDS["low/one.c"] = "because"
        self.assertEqual(self.findings(), "")
        self.write("src/low/one.c", CLEAN["low/one.c"])
        self.finds("scripts/walls.py", "STANDING_WORDS", "is clean")

    def test_a_tag_defined_twice(self):
        self.write("src/high/top.c", CLEAN["high/top.c"] + "struct one {\n\tint other;\n};\n")
        self.finds("src/high/top.c:3", "tag defined twice: struct one is also at src/low/one.h:1")

    def test_a_folder_that_is_included_and_not_named(self):
        self.add("end/end.c", '#include "low/one.h"\n')
        self.finds("src/end/meson.build", "end_lib leaves out low_dep, which src/end/end.c:1 includes")

    def test_a_folder_that_is_named_and_not_included(self):
        self.write("src/end/meson.build", CLEAN["end/meson.build"].replace("[high_dep]", "[high_dep, low_dep]"))
        self.finds("src/end/meson.build", "end_lib names low_dep, which no file of end/ includes")

    def test_headers_passed_on_without_need_or_kept_from_who_needs_them(self):
        self.write("src/high/top.h", "int top_get(void);\n")
        self.add("high/top.c", '#include "low/two.h"\n')
        self.finds("src/high/meson.build", "high_dep passes on low_dep, which no public header of high/ includes")
        self.write("src/high/top.h", CLEAN["high/top.h"])
        self.write("src/high/meson.build", CLEAN["high/meson.build"].replace("high_lib, dependencies: [low_dep]", "high_lib"))
        self.finds("src/high/meson.build", "high_dep leaves out low_dep, which src/high/top.h:1 includes")

    def test_a_folder_whose_meson_build_is_written_otherwise(self):
        self.write("src/low/meson.build", CLEAN["low/meson.build"].replace("low_lib =", "low_library ="))
        self.finds("src/low/meson.build", "there is no `low_lib = static_library(")


if __name__ == "__main__":
    sys.exit(unittest.main())
