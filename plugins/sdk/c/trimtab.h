/* What a Trimtab plugin in C is written with: a function from what is observed to
 * what should be. A module lives for one call, so nothing has to be freed. */
#ifndef TRIMTAB_H
#define TRIMTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The contract that this file was written for. A module exports it, as a C
 * compiler writes no component type. */
#define TT_DRAFT "trimtab-draft-ae1cbb668d2c5f17"

/* A text: UTF-8, not ended by a zero. */
typedef struct {
  const char *at;
  size_t length;
} tt_text;

/* What is not there: `at` is NULL. */
#define tt_none ((tt_text){NULL, 0})

#define TT(literal) ((tt_text){literal, sizeof(literal) - 1})

/* All observed children of a declared kind: JSON texts, by namespace and name. */
typedef struct {
  tt_text api_version, kind;
  const tt_text *objects;
  size_t count;
} tt_group;

typedef struct {
  tt_text cluster, instance_id, now, config, object; /* config and object are JSON */
  const tt_group *children;
  size_t groups;
  bool finalizing;
} tt_request;

typedef struct tt_answer tt_answer;

/* The two functions of a plugin.
 *
 * trimtab_describe gives JSON, see description.schema.json of the contract.
 * trimtab_reconcile fills the answer; what it does not fill stays as it is. */
tt_text trimtab_describe(tt_text config);
void trimtab_reconcile(const tt_request *request, tt_answer *answer);

/* What should be. Observed children that are not among these are deleted. */
void tt_child(tt_answer *answer, tt_text json);
void tt_status(tt_answer *answer, tt_text json);
void tt_event(tt_answer *answer, bool warning, tt_text reason, tt_text message);
void tt_requeue_after_ms(tt_answer *answer, uint32_t delay_ms);
void tt_finalized(tt_answer *answer);
/* Of a decorator's object: set, or with a value that is NULL (tt_none) removed. */
void tt_label(tt_answer *answer, tt_text name, tt_text value);
void tt_annotation(tt_answer *answer, tt_text name, tt_text value);

/* No answer. The last one said counts, and children stay as they are. */
void tt_retry(tt_answer *answer, tt_text message);   /* run again with growing delays */
void tt_waiting(tt_answer *answer, tt_text message); /* run again when a look-up changes */
void tt_refuse(tt_answer *answer, tt_text message);  /* run again when the object changes */

typedef enum { TT_DEBUG, TT_INFO, TT_WARN, TT_ERROR } tt_level;
void tt_log(tt_level level, tt_text message);

/* An object from the host's cache as JSON. A namespace without length is none.
 * Where it is not to be had, `at` is NULL, and `message` says why if it is no
 * absence but a refusal; its length is 0 otherwise. */
typedef struct {
  tt_text json, message;
} tt_found;
tt_found tt_get(tt_text api_version, tt_text kind, tt_text namespace, tt_text name);

/* The objects of a kind that a label selector matches, as kubectl -l takes it; all
 * of them where it has no length. A namespace without length is none: all that the
 * host serves. Where they are not to be had, `message` says why. */
typedef struct {
  const tt_text *objects;
  size_t count;
  tt_text message;
} tt_selected;
tt_selected tt_select(tt_text api_version, tt_text kind, tt_text namespace, tt_text selector, uint32_t limit);

/* The observed children of a kind; NULL where it is not declared. */
const tt_group *tt_children(const tt_request *request, const char *api_version, const char *kind);

/* Reading JSON: the value at a path of keys, as it stands in the text; a text of
 * length 0 where there is none. The list of keys ends with NULL. */
tt_text tt_at(tt_text json, ...);
/* The characters of a JSON string; `otherwise` for anything else. */
tt_text tt_string(tt_text value, tt_text otherwise);
/* A whole number; `otherwise` for anything else. */
int64_t tt_int(tt_text value, int64_t otherwise);
bool tt_is_true(tt_text value);

/* Writing: `%s` takes a tt_text as it is, `%j` one as a JSON string, `%d` an
 * int64_t, `%%` a percent sign. */
tt_text tt_format(const char *format, ...);

#endif
