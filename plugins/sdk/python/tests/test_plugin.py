import json
import unittest
from dataclasses import dataclass, field

from trimtab import Answer, Event, Failure, Metadata, composite, decorator, retry, terminal, wait
from trimtab._failure import to_failure
from trimtab.testing import run

OBJECT = {"apiVersion": "example.dev/v1", "kind": "Page", "metadata": {"name": "a", "namespace": "home"}}


def plugin(function, **options):
    return composite("example.dev/v1/Page", **options)(function)


def told(function, **options):
    try:
        return run(plugin(function, **options), OBJECT)
    except Exception as error:
        return to_failure(error)


@dataclass
class Spec:
    host: str
    ready_replicas: int = 1
    ports: list[int] = field(default_factory=list)
    weight: float | None = None


@dataclass
class Page:
    metadata: Metadata
    spec: Spec


@dataclass
class Tree:
    name: str = ""
    branches: list["Tree"] = field(default_factory=list)


class PluginTest(unittest.TestCase):
    def test_the_description_is_derived_from_the_arguments(self):
        children = ["v1/ConfigMap", {"kind": "batch/v1/Job", "update": "recreate"}]
        made = plugin(lambda page, run: Answer(), selector="a=b", children=children, reads=["v1/Secret"], resync_seconds=60)
        self.assertEqual(
            json.loads(made.describe()),
            {
                "role": "composite",
                "objects": [{"apiVersion": "example.dev/v1", "kind": "Page", "labelSelector": "a=b"}],
                "children": [
                    {"apiVersion": "v1", "kind": "ConfigMap"},
                    {"apiVersion": "batch/v1", "kind": "Job", "update": "recreate"},
                ],
                "reads": [{"apiVersion": "v1", "kind": "Secret"}],
                "finalizes": False,
                "resyncSeconds": 60,
            },
        )
        with self.assertRaisesRegex(ValueError, "'Page' is no kind; expected one like"):
            composite("Page")

    def test_a_decorator_names_several_kinds_with_what_selects_them(self):
        service = {"kind": "v1/Service", "labelSelector": "a=b", "annotationSelector": "c"}
        made = decorator("apps/v1/StatefulSet", service)(lambda it, run: Answer(labels={"seen": "yes"}))
        self.assertEqual(made.description["role"], "decorator")
        self.assertEqual(
            made.description["objects"],
            [
                {"apiVersion": "apps/v1", "kind": "StatefulSet"},
                {"apiVersion": "v1", "kind": "Service", "labelSelector": "a=b", "annotationSelector": "c"},
            ],
        )
        self.assertEqual(run(made, OBJECT).labels, {"seen": "yes"})

    def test_a_run_ends_as_it_is_told_to_end(self):
        endings = [
            (lambda page, run: wait("a secret"), ("waiting", "waiting for a secret", None)),
            (lambda page, run: retry("later", after_ms=1500), ("retry", "later", 1500)),
            (lambda page, run: terminal("never"), ("terminal", "never", None)),
        ]
        for function, expected in endings:
            failure = told(function)
            self.assertEqual((failure.outcome, failure.message, failure.retry_after_ms), expected)

    def test_an_exception_is_a_retry_with_its_message_and_its_place(self):
        def fails(page, run):
            return page["spec"]

        failure = told(fails)
        self.assertEqual(failure.outcome, "retry")
        self.assertRegex(failure.message, r"^KeyError: 'spec'\n    at test_plugin\.py:\d+ in fails\n")

    def test_an_answer_of_another_shape_is_told_in_the_words_of_the_plugin(self):
        cases = [
            (lambda page, run: None, "reconcile returned None; expected an Answer"),
            (lambda page, run: Answer(children="web"), "children is 'web'; expected a list"),
            (lambda page, run: Answer(children=[None]), "children[0] is None; expected a dict or a dataclass"),
            (lambda page, run: Answer(status="ok"), "status is 'ok'; expected a dict"),
            (lambda page, run: Answer(status={"at": float("nan")}), "status cannot be written as JSON"),
            (lambda page, run: Answer(events=["Served"]), "events[0] is 'Served'; expected an Event"),
        ]
        for function, expected in cases:
            self.assertIn(expected, told(function).message)

    def test_children_are_found_by_name_and_by_namespace_where_that_is_another(self):
        def names(page, run):
            return Answer(status={"names": list(run.children("v1/ConfigMap"))})

        def child(name, namespace):
            return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}

        got = run(plugin(names, children=["v1/ConfigMap"]), OBJECT, children=[child("a", "home"), child("b", "away")])
        self.assertEqual(got.status, {"names": ["a", "away/b"]})
        self.assertIn("v1/Pod is not declared as a child", told(lambda page, run: run.children("v1/Pod")).message)

    def test_look_ups_are_made_in_the_namespace_of_the_object_and_lines_are_logged(self):
        def looks(page, run):
            run.warn("looking")
            found = run.get("v1/Secret", "s", namespace="away")
            return Answer(status={"home": run.get("v1/Secret", "s"), "away": found["metadata"]["name"]})

        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "away"}}
        got = run(plugin(looks), OBJECT, objects=[secret])
        self.assertEqual((got.status, got.logged), ({"home": None, "away": "s"}, [("warn", "looking")]))


class ObjectsTest(unittest.TestCase):
    def test_an_object_is_given_in_the_class_of_the_first_parameter(self):
        def typed(page: Page, run):
            return Answer(status=page.spec, events=[Event("Seen", page.metadata.name)])

        spec = {"host": "h", "readyReplicas": 2, "ports": [80], "weight": 1, "other": {}}
        got = run(plugin(typed), OBJECT | {"spec": spec})
        self.assertEqual(got.status, {"host": "h", "readyReplicas": 2, "ports": [80], "weight": 1.0})
        self.assertEqual(got.events, [Event("Seen", "a")])

    def test_a_class_may_be_made_of_itself(self):
        def typed(tree: Tree, run):
            return Answer(status=tree)

        branches = [{"name": "b", "branches": [{"name": "c", "branches": []}]}]
        self.assertEqual(run(plugin(typed), OBJECT | {"branches": branches}).status, {"name": "", "branches": branches})

    def test_an_object_of_another_shape_is_refused_until_it_changes(self):
        def typed(page: Page, run):
            return Answer()

        cases = [
            ({}, "the object.spec.host is missing"),
            ({"host": 3}, "the object.spec.host is 3; expected str"),
            ({"host": "h", "readyReplicas": True}, "the object.spec.readyReplicas is True; expected int"),
            ({"host": "h", "ports": ["a"]}, "the object.spec.ports[0] is 'a'; expected int"),
        ]
        for spec, expected in cases:
            with self.assertRaises(Failure) as failed:
                run(plugin(typed), OBJECT | {"spec": spec})
            self.assertEqual((failed.exception.outcome, failed.exception.message), ("terminal", expected))


if __name__ == "__main__":
    unittest.main()
