import unittest

from page import reconcile
from trimtab import Failure
from trimtab.testing import run


def page(status=None, **spec):
    spec = {"host": "a.example.dev", "text": "hello", "replicas": 2} | spec
    metadata = {"name": "a", "namespace": "default", "generation": 3}
    page = {"apiVersion": "example.dev/v1", "kind": "Page", "metadata": metadata, "spec": spec}
    return page if status is None else page | {"status": status}


def web(ready):
    metadata = {"name": "a", "namespace": "default"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "status": {"readyReplicas": ready}}


class PageTest(unittest.TestCase):
    def test_a_page_becomes_three_children_that_share_its_name(self):
        got = run(reconcile, page())
        self.assertEqual([child["kind"] for child in got.children], ["ConfigMap", "Deployment", "Service"])
        self.assertEqual(got.children[0]["data"]["index.html"], "hello")

    def test_it_is_ready_when_all_its_replicas_are_and_says_so_once(self):
        waiting = run(reconcile, page(), children=[web(1)])
        self.assertEqual((waiting.status["ready"], waiting.requeue_after_ms), (False, 30_000))
        ready = run(reconcile, page(), children=[web(2)])
        self.assertEqual((ready.status["ready"], ready.events[0].reason), (True, "Served"))
        self.assertEqual(run(reconcile, page({"ready": True}), children=[web(2)]).events, [])

    def test_it_waits_for_its_secret(self):
        with self.assertRaisesRegex(Failure, "waiting for the secret cert"):
            run(reconcile, page(tls="cert"))
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cert"}}
        self.assertEqual(run(reconcile, page(tls="cert"), objects=[secret]).status["url"], "https://a.example.dev/")

    def test_a_page_without_a_host_is_not_tried_again(self):
        with self.assertRaises(Failure) as failed:
            run(reconcile, page(host=""))
        self.assertEqual(failed.exception.outcome, "terminal")


if __name__ == "__main__":
    unittest.main()
