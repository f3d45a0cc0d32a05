/* A {{Kind}} runs its image in as many pods as it asks for. */
#include <string.h>

#include "trimtab.h"

tt_text trimtab_describe(tt_text config) {
  (void)config;
  return TT("{\"role\":\"composite\","
            "\"objects\":[{\"apiVersion\":\"example.dev/v1\",\"kind\":\"{{Kind}}\"}],"
            "\"children\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\"}]}");
}

/* How many pods of the Deployment of that name are ready. */
static int64_t running(const tt_request *request, tt_text name) {
  const tt_group *group = tt_children(request, "apps/v1", "Deployment");
  for (size_t at = 0; group != NULL && at < group->count; at++) {
    tt_text found = tt_string(tt_at(group->objects[at], "metadata", "name", NULL), TT(""));
    if (found.length == name.length && memcmp(found.at, name.at, name.length) == 0) {
      return tt_int(tt_at(group->objects[at], "status", "readyReplicas", NULL), 0);
    }
  }
  return 0;
}

void trimtab_reconcile(const tt_request *request, tt_answer *answer) {
  tt_text name = tt_string(tt_at(request->object, "metadata", "name", NULL), TT(""));
  tt_text image = tt_string(tt_at(request->object, "spec", "image", NULL), TT(""));
  int64_t replicas = tt_int(tt_at(request->object, "spec", "replicas", NULL), 1);
  tt_text labels = tt_format("{\"app\":%j}", name);
  tt_child(answer, tt_format("{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":%j},"
                             "\"spec\":{\"replicas\":%d,\"selector\":{\"matchLabels\":%s},"
                             "\"template\":{\"metadata\":{\"labels\":%s},"
                             "\"spec\":{\"containers\":[{\"name\":\"main\",\"image\":%j}]}}}}",
                             name, replicas, labels, labels, image));
  tt_status(answer, running(request, name) >= replicas ? TT("{\"ready\":true}") : TT("{\"ready\":false}"));
}
