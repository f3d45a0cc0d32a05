import unittest

from profiles import reconcile
from trimtab.testing import run

CONFIG = {"viewer": "viewer:1", "metadata": "metadata.svc", "store": {"accessKey": "a", "secretKey": "b"}}


class ProfilesTest(unittest.TestCase):
    def test_all_lies_in_the_namespace(self):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
        children = run(reconcile, namespace, config=CONFIG).children
        self.assertEqual([child["kind"] for child in children], ["Secret", "ConfigMap", "Deployment", "Service"])
        self.assertEqual({child["metadata"]["namespace"] for child in children}, {"team"})
        self.assertEqual(children[0]["data"], {"accessKey": "YQ==", "secretKey": "Yg=="})
