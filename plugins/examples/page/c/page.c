/* A Page becomes a Deployment, a Service and a ConfigMap with its text. The same
 * plugin is beside this one in other languages. */
#include "trimtab.h"

static const char description[] =
    "{\"role\":\"composite\",\"finalizes\":true,"
    "\"objects\":[{\"apiVersion\":\"example.dev/v1\",\"kind\":\"Page\"}],"
    "\"children\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"},{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\"},"
    "{\"apiVersion\":\"v1\",\"kind\":\"Service\"}],"
    "\"reads\":[{\"apiVersion\":\"v1\",\"kind\":\"Secret\"}]}";

tt_text trimtab_describe(tt_text config) {
  (void)config;
  return TT(description);
}

static bool same(tt_text a, tt_text b) {
  return a.length == b.length && __builtin_memcmp(a.at, b.at, a.length) == 0;
}

/* How many replicas of the Deployment of that name are ready. */
static int64_t ready_replicas(const tt_request *request, tt_text name) {
  const tt_group *webs = tt_children(request, "apps/v1", "Deployment");
  for (size_t at = 0; webs != NULL && at < webs->count; at++) {
    tt_text web = webs->objects[at];
    if (same(tt_string(tt_at(web, "metadata", "name", NULL), TT("")), name)) {
      return tt_int(tt_at(web, "status", "readyReplicas", NULL), 0);
    }
  }
  return 0;
}

/* What serves the text. */
static tt_text pod(const tt_request *request, tt_text name, tt_text tls) {
  tt_text image = tt_string(tt_at(request->config, "image", NULL), TT("docker.io/library/nginx:1.29"));
  tt_text secret = TT("");
  if (tls.length > 0) secret = tt_format(",{\"name\":\"tls\",\"secret\":{\"secretName\":%j}}", tls);
  return tt_format(
      "{\"containers\":[{\"name\":\"web\",\"image\":%j,\"ports\":[{\"containerPort\":80}],"
      "\"volumeMounts\":[{\"name\":\"page\",\"mountPath\":\"/usr/share/nginx/html\"}]}],"
      "\"volumes\":[{\"name\":\"page\",\"configMap\":{\"name\":%j}}%s]}",
      image, name, secret);
}

static void children(const tt_request *request, tt_answer *answer, tt_text name, tt_text tls, int64_t replicas) {
  tt_text labels = tt_format("{\"app\":%j}", name);
  tt_text metadata = tt_format("{\"name\":%j,\"labels\":%s}", name, labels);
  tt_text text = tt_string(tt_at(request->object, "spec", "text", NULL), TT(""));
  tt_child(answer, tt_format("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":%s,\"data\":{\"index.html\":%j}}",
                             metadata, text));
  tt_child(answer, tt_format("{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":%s,\"spec\":{\"replicas\":%d,"
                             "\"selector\":{\"matchLabels\":%s},\"template\":{\"metadata\":{\"labels\":%s},\"spec\":%s}}}",
                             metadata, replicas, labels, labels, pod(request, name, tls)));
  tt_child(answer, tt_format("{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":%s,\"spec\":{\"selector\":%s,"
                             "\"ports\":[{\"port\":80,\"targetPort\":80}]}}",
                             metadata, labels));
}

void trimtab_reconcile(const tt_request *request, tt_answer *answer) {
  tt_text object = request->object;
  tt_text name = tt_string(tt_at(object, "metadata", "name", NULL), TT(""));
  tt_text namespace = tt_string(tt_at(object, "metadata", "namespace", NULL), TT(""));
  tt_text host = tt_string(tt_at(object, "spec", "host", NULL), TT(""));
  tt_text tls = tt_string(tt_at(object, "spec", "tls", NULL), TT(""));
  tt_text settings = tt_at(object, "spec", "settings", NULL);
  int64_t replicas = tt_int(tt_at(object, "spec", "replicas", NULL), 1);

  if (request->finalizing) {
    tt_event(answer, false, TT("Closed"), tt_format("%s is closed", host));
    tt_finalized(answer);
    return;
  }
  if (host.length == 0) {
    tt_refuse(answer, TT("spec.host is empty"));
    return;
  }
  if (tls.length > 0) {
    tt_found secret = tt_get(TT("v1"), TT("Secret"), namespace, tls);
    if (secret.message.length > 0) {
      tt_retry(answer, secret.message);
      return;
    }
    if (secret.json.at == NULL) {
      tt_waiting(answer, tt_format("waiting for the secret %s", tls));
      return;
    }
  }

  bool ready = ready_replicas(request, name) >= replicas;
  tt_log(TT_INFO, tt_format("%s is %s", name, ready ? TT("ready") : TT("not ready")));
  children(request, answer, name, tls, replicas);
  const tt_group *pages = tt_children(request, "v1", "ConfigMap");
  tt_status(answer, tt_format("{\"ready\":%s,\"url\":%j,\"pages\":%d,\"settings\":%s,\"observedGeneration\":%d}",
                              ready ? TT("true") : TT("false"),
                              tt_format("%s://%s/", tls.length > 0 ? TT("https") : TT("http"), host),
                              (int64_t)(pages == NULL ? 0 : pages->count), settings.length > 0 ? settings : TT("{}"),
                              tt_int(tt_at(object, "metadata", "generation", NULL), 0)));
  if (!ready) {
    tt_requeue_after_ms(answer, 30000);
  } else if (!tt_is_true(tt_at(object, "status", "ready", NULL))) {
    tt_event(answer, false, TT("Served"), tt_format("%s is served", host));
  }
}
