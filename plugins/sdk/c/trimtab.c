/* The contract as the canonical ABI of components has it. Records are structs of
 * the same layout; what is larger than 16 values passes through memory. */
#include "trimtab.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CONTRACT "trimtab:plugin/controller@0.1.0"
#define HOST "trimtab:plugin/host@0.1.0"
#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(name) __attribute__((import_module(HOST), import_name(name)))
_Static_assert(sizeof(tt_text) == 8, "built for wasm32");
#else /* for a test, see testing.h */
#define EXPORT(name)
#define IMPORT(name)
#endif

EXPORT(TT_DRAFT) void tt_draft(void) {}

static void *need(void *memory) {
  if (memory == NULL) {
    tt_log(TT_ERROR, TT("out of memory"));
    __builtin_trap();
  }
  return memory;
}

EXPORT("cabi_realloc") void *tt_realloc(void *old, size_t old_size, size_t align, size_t size) {
  (void)old_size, (void)align; /* malloc aligns to 16 bytes */
  return size == 0 ? (void *)align : need(realloc(old, size));
}

/* Lists that grow. */
typedef struct {
  void *items;
  size_t count;
} list;

static void *push(list *list, size_t size) {
  if ((list->count & (list->count - 1)) == 0) {
    size_t room = list->count == 0 ? 1 : 2 * list->count;
    list->items = need(realloc(list->items, room * size));
  }
  return (char *)list->items + size * list->count++;
}

/* The contract's records. */
typedef struct {
  uint32_t some;
  tt_text text;
} option_text;

typedef struct {
  uint32_t some, value;
} option_u32;

typedef struct {
  uint32_t warning;
  tt_text reason, message;
} event;

typedef struct {
  tt_text name;
  option_text value;
} mark;

typedef struct {
  option_text cluster;
  tt_text api_version, kind;
  const tt_text *objects;
  size_t count;
} group;

enum { RETRY, WAITING, TERMINAL };

struct tt_answer {
  uint32_t failed;
  union {
    struct {
      list children;
      option_text status;
      list labels, annotations, events;
      option_u32 requeue_after_ms;
      uint32_t finalized;
      option_text extra;
    };
    struct {
      uint32_t outcome;
      tt_text message;
      option_u32 retry_after_ms;
    };
  };
};

void tt_child(tt_answer *answer, tt_text json) { *(tt_text *)push(&answer->children, sizeof json) = json; }

void tt_status(tt_answer *answer, tt_text json) { answer->status = (option_text){1, json}; }

void tt_event(tt_answer *answer, bool warning, tt_text reason, tt_text message) {
  *(event *)push(&answer->events, sizeof(event)) = (event){warning, reason, message};
}

static void put_mark(list *marks, tt_text name, tt_text value) {
  *(mark *)push(marks, sizeof(mark)) = (mark){name, {value.at != NULL, value}};
}

void tt_label(tt_answer *answer, tt_text name, tt_text value) { put_mark(&answer->labels, name, value); }
void tt_annotation(tt_answer *answer, tt_text name, tt_text value) { put_mark(&answer->annotations, name, value); }

void tt_requeue_after_ms(tt_answer *answer, uint32_t delay_ms) { answer->requeue_after_ms = (option_u32){1, delay_ms}; }

void tt_finalized(tt_answer *answer) { answer->finalized = 1; }

static void fail(tt_answer *answer, uint32_t outcome, tt_text message) {
  *answer = (tt_answer){.failed = 1, .outcome = outcome, .message = message};
}

void tt_retry(tt_answer *answer, tt_text message) { fail(answer, RETRY, message); }
void tt_waiting(tt_answer *answer, tt_text message) { fail(answer, WAITING, message); }
void tt_refuse(tt_answer *answer, tt_text message) { fail(answer, TERMINAL, message); }

EXPORT(CONTRACT "#describe") void *tt_describe(const char *config, size_t length) {
  struct {
    uint32_t failed;
    tt_text json;
  } *described = need(calloc(1, sizeof *described));
  described->json = trimtab_describe((tt_text){config, length});
  return described;
}

EXPORT(CONTRACT "#reconcile")
void *tt_reconcile(const char *cluster, size_t cluster_length, uint32_t has_instance, const char *instance,
                   size_t instance_length, const char *now, size_t now_length, const char *config,
                   size_t config_length, const char *object, size_t object_length, const group *children,
                   size_t groups, uint32_t finalizing, const char *extra, size_t extra_length) {
  (void)extra, (void)extra_length;
  tt_group *given = need(calloc(groups + 1, sizeof *given));
  for (size_t at = 0; at < groups; at++) {
    given[at] = (tt_group){children[at].api_version, children[at].kind, children[at].objects, children[at].count};
  }
  tt_request request = {
      .cluster = {cluster, cluster_length},
      .instance_id = {instance, has_instance ? instance_length : 0},
      .now = {now, now_length},
      .config = {config, config_length},
      .object = {object, object_length},
      .children = given,
      .groups = groups,
      .finalizing = finalizing,
  };
  tt_answer *answer = need(calloc(1, sizeof *answer));
  trimtab_reconcile(&request, answer);
  return answer;
}

const tt_group *tt_children(const tt_request *request, const char *api_version, const char *kind) {
  for (size_t at = 0; at < request->groups; at++) {
    const tt_group *group = &request->children[at];
    if (group->api_version.length == strlen(api_version) && group->kind.length == strlen(kind) &&
        memcmp(group->api_version.at, api_version, group->api_version.length) == 0 &&
        memcmp(group->kind.at, kind, group->kind.length) == 0) {
      return group;
    }
  }
  return NULL;
}

IMPORT("log") void host_log(uint32_t level, const char *message, size_t length);

void tt_log(tt_level level, tt_text message) { host_log(level, message.at, message.length); }

IMPORT("get")
void host_get(uint32_t has_cluster, const char *cluster, size_t cluster_length, const char *api_version,
              size_t api_version_length, const char *kind, size_t kind_length, uint32_t has_namespace,
              const char *namespace, size_t namespace_length, const char *name, size_t name_length, void *found);

typedef struct {
  uint32_t refused;
  union {
    option_text json;
    tt_text message;
  };
} found_json;

tt_found tt_get(tt_text api_version, tt_text kind, tt_text namespace, tt_text name) {
  found_json found;
  host_get(0, NULL, 0, api_version.at, api_version.length, kind.at, kind.length, namespace.length != 0, namespace.at,
           namespace.length, name.at, name.length, &found);
  if (found.refused) return (tt_found){.message = found.message};
  return found.json.some ? (tt_found){.json = found.json.text} : (tt_found){0};
}

IMPORT("select")
void host_select(uint32_t has_cluster, const char *cluster, size_t cluster_length, const char *api_version,
                 size_t api_version_length, const char *kind, size_t kind_length, uint32_t has_namespace,
                 const char *namespace, size_t namespace_length, uint32_t has_selector, const char *selector,
                 size_t selector_length, uint32_t limit, void *found);

typedef struct {
  uint32_t refused;
  union {
    struct {
      const tt_text *objects;
      size_t count;
    };
    tt_text message;
  };
} found_list;

tt_selected tt_select(tt_text api_version, tt_text kind, tt_text namespace, tt_text selector, uint32_t limit) {
  found_list found;
  host_select(0, NULL, 0, api_version.at, api_version.length, kind.at, kind.length, namespace.length != 0,
              namespace.at, namespace.length, selector.length != 0, selector.at, selector.length, limit, &found);
  if (found.refused) return (tt_selected){.message = found.message};
  return (tt_selected){.objects = found.objects, .count = found.count};
}
