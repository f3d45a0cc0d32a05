/* Each Namespace that a label selector matches has a copy of one Secret, and follows
 * it. Which Secret and which Namespaces says the config. */
#include "trimtab.h"

tt_text trimtab_describe(tt_text config) {
  tt_text selector = tt_string(tt_at(config, "selector", NULL), TT("example.dev/shared-secret"));
  return tt_format("{\"role\":\"decorator\","
                   "\"objects\":[{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"labelSelector\":%j}],"
                   "\"children\":[{\"apiVersion\":\"v1\",\"kind\":\"Secret\"}],"
                   "\"reads\":[{\"apiVersion\":\"v1\",\"kind\":\"Secret\"}]}",
                   selector);
}

static bool same(tt_text a, tt_text b) {
  return a.length == b.length && __builtin_memcmp(a.at, b.at, a.length) == 0;
}

/* The value of a field, or what stands for none. */
static tt_text or_empty(tt_text value, tt_text empty) { return value.length > 0 ? value : empty; }

void trimtab_reconcile(const tt_request *request, tt_answer *answer) {
  tt_text name = tt_string(tt_at(request->config, "name", NULL), TT(""));
  tt_text from = tt_string(tt_at(request->config, "namespace", NULL), TT(""));
  tt_text into = tt_string(tt_at(request->object, "metadata", "name", NULL), TT(""));
  if (name.length == 0 || from.length == 0) {
    tt_refuse(answer, TT("the config lacks the name or the namespace of the secret to copy"));
    return;
  }
  /* The original stays as it is, and a Namespace that goes takes nothing in any more. */
  if (same(into, from) || tt_at(request->object, "metadata", "deletionTimestamp", NULL).length > 0) return;

  tt_found secret = tt_get(TT("v1"), TT("Secret"), from, name);
  if (secret.message.length > 0) {
    tt_retry(answer, secret.message);
    return;
  }
  if (secret.json.at == NULL) {
    tt_waiting(answer, tt_format("waiting for the secret %s in %s", name, from));
    return;
  }
  tt_child(answer, tt_format("{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":%j,\"namespace\":%j},"
                             "\"type\":%s,\"data\":%s}",
                             name, into, or_empty(tt_at(secret.json, "type", NULL), TT("\"Opaque\"")),
                             or_empty(tt_at(secret.json, "data", NULL), TT("{}"))));
  tt_annotation(answer, TT("example.dev/secret-from"), from);
}
