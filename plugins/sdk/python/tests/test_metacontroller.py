import json
import unittest
from pathlib import Path

from trimtab.metacontroller import composite_hook, decorator_hook
from trimtab.testing import run

CASES = json.loads(Path(__file__).parents[2].joinpath("metacontroller.cases.json").read_text())
CHILDREN = ["v1/ConfigMap", {"kind": "apps/v1/Deployment", "update": "recreate"}]
READS = ["v1/Secret", "v1/Namespace", "networking.k8s.io/v1/NetworkPolicy"]


def served(case):
    """A plugin whose hooks answer what a case says, and what its hook was asked."""
    asked = {}

    def hook(name):
        def answer(request):
            asked.update({"hook": name} | request)
            return case.get(name)

        return answer

    kind = f"{case['object']['apiVersion']}/{case['object']['kind']}"
    options = {"finalize": hook("finalize")} if "finalize" in case else {}
    if "customize" in case:
        options["customize"] = lambda request: case["customize"]
    if case.get("role") == "decorator":
        return decorator_hook(kind, attachments=CHILDREN, reads=READS, **options)(hook("sync")), asked
    return composite_hook(kind, children=CHILDREN, reads=READS, **options)(hook("sync")), asked


class MetacontrollerTest(unittest.TestCase):
    maxDiff = None

    def test_each_case(self):
        for case in CASES:
            with self.subTest(case["name"]):
                plugin, asked = served(case)
                said = plugin.description["role"], plugin.description["finalizes"]
                self.assertEqual(said, (case.get("role", "composite"), "finalize" in case))
                given = {key: case[key] for key in ("children", "objects", "selecting", "config", "finalizing") if key in case}
                if "error" in case:
                    with self.assertRaises(Exception) as raised:
                        run(plugin, case["object"], **given)
                    self.assertIn(case["error"], str(raised.exception))
                    continue
                got = run(plugin, case["object"], **given)
                answer = {
                    "children": got.children,
                    "status": got.status,
                    "labels": got.labels,
                    "annotations": got.annotations,
                    "requeueAfterMs": got.requeue_after_ms,
                    "finalized": got.finalized,
                }
                self.assertEqual(answer, {"labels": {}, "annotations": {}} | case["answer"])
                self.assertEqual(asked, case.get("asked", asked))


if __name__ == "__main__":
    unittest.main()
