import unittest

from plugin import reconcile
from trimtab.testing import run


class PluginTest(unittest.TestCase):
    def test_the_deployment_has_the_replicas_that_are_asked_for(self):
        wanted = {
            "apiVersion": "example.dev/v1",
            "kind": "{{Kind}}",
            "metadata": {"name": "a", "namespace": "default"},
            "spec": {"image": "nginx", "replicas": 3},
        }
        got = run(reconcile, wanted)
        self.assertEqual(got.children[0]["spec"]["replicas"], 3)
        self.assertEqual(got.status, {"ready": False})
