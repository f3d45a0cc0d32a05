/* A run without WebAssembly: what is given stands in for the host. */
#include "testing.h"

#include "trimtab.c"

static const tt_given *observed;

static const tt_mark *marks(const list *list) {
  const mark *all = list->items;
  tt_mark *marks = need(calloc(list->count + 1, sizeof *marks));
  for (size_t at = 0; at < list->count; at++) {
    marks[at] = (tt_mark){all[at].name, all[at].value.some ? all[at].value.text : tt_none};
  }
  return marks;
}

tt_got tt_run(const tt_given *given) {
  tt_request request = {
      .cluster = TT("test"),
      .now = TT("2000-01-01T00:00:00Z"),
      .config = given->config.length > 0 ? given->config : TT("{}"),
      .object = given->object,
      .children = given->children,
      .groups = given->groups,
      .finalizing = given->finalizing,
  };
  tt_answer answer = {0};
  observed = given;
  trimtab_reconcile(&request, &answer);
  if (answer.failed) return (tt_got){.outcome = (tt_outcome)(TT_RETRY + answer.outcome), .message = answer.message};
  return (tt_got){
      .children = answer.children.items,
      .count = answer.children.count,
      .status = answer.status.text,
      .labels = marks(&answer.labels),
      .annotations = marks(&answer.annotations),
      .labels_count = answer.labels.count,
      .annotations_count = answer.annotations.count,
      .events = answer.events.count,
      .requeue_after_ms = answer.requeue_after_ms.value,
      .finalized = answer.finalized,
  };
}

void host_log(uint32_t level, const char *message, size_t length) { (void)level, (void)message, (void)length; }

static bool is(tt_text object, const char *key, const char *within, tt_text expected) {
  tt_text found = tt_string(within == NULL ? tt_at(object, key, NULL) : tt_at(object, within, key, NULL), TT(""));
  return found.length == expected.length && memcmp(found.at, expected.at, found.length) == 0;
}

void host_get(uint32_t has_cluster, const char *cluster, size_t cluster_length, const char *api_version,
              size_t api_version_length, const char *kind, size_t kind_length, uint32_t has_namespace,
              const char *namespace, size_t namespace_length, const char *name, size_t name_length, void *into) {
  (void)has_cluster, (void)cluster, (void)cluster_length, (void)has_namespace;
  found_json *found = into;
  *found = (found_json){0};
  for (size_t at = 0; at < observed->objects_count; at++) {
    tt_text object = observed->objects[at];
    if (is(object, "apiVersion", NULL, (tt_text){api_version, api_version_length}) &&
        is(object, "kind", NULL, (tt_text){kind, kind_length}) &&
        is(object, "name", "metadata", (tt_text){name, name_length}) &&
        (is(object, "namespace", "metadata", TT("")) ||
         is(object, "namespace", "metadata", (tt_text){namespace, namespace_length}))) {
      found->json = (option_text){1, object};
      return;
    }
  }
}

void host_select(uint32_t has_cluster, const char *cluster, size_t cluster_length, const char *api_version,
                 size_t api_version_length, const char *kind, size_t kind_length, uint32_t has_namespace,
                 const char *namespace, size_t namespace_length, uint32_t has_selector, const char *selector,
                 size_t selector_length, uint32_t limit, void *into) {
  (void)has_cluster, (void)cluster, (void)cluster_length, (void)has_selector;
  list found = {0};
  bool answered = observed->selector.length == selector_length &&
                  (selector_length == 0 || memcmp(observed->selector.at, selector, selector_length) == 0);
  for (size_t at = 0; answered && at < observed->selected_count && found.count < limit; at++) {
    tt_text object = observed->selected[at];
    if (is(object, "apiVersion", NULL, (tt_text){api_version, api_version_length}) &&
        is(object, "kind", NULL, (tt_text){kind, kind_length}) &&
        (!has_namespace || is(object, "namespace", "metadata", TT("")) ||
         is(object, "namespace", "metadata", (tt_text){namespace, namespace_length}))) {
      *(tt_text *)push(&found, sizeof object) = object;
    }
  }
  *(found_list *)into = (found_list){.objects = found.items, .count = found.count};
}
