/* Calls a plugin as the host would, natively: a test is compiled with the plugin,
 * testing.c and json.c, and without trimtab.c. */
#ifndef TRIMTAB_TESTING_H
#define TRIMTAB_TESTING_H

#include "trimtab.h"

/* What a run observes. */
typedef struct {
  tt_text object, config; /* JSON; without a config, {} */
  const tt_group *children;
  size_t groups;
  const tt_text *objects; /* what look-ups by name find; in any namespace where they name none */
  size_t objects_count;
  tt_text selector; /* the one selector that finds something */
  const tt_text *selected; /* and what that is, of the kinds that are asked for */
  size_t selected_count;
  bool finalizing;
} tt_given;

/* A label or an annotation; to be removed where the value is NULL. */
typedef struct {
  tt_text name, value;
} tt_mark;

typedef enum { TT_ANSWERED, TT_RETRY, TT_WAITING, TT_TERMINAL } tt_outcome;

/* What came of it. */
typedef struct {
  tt_outcome outcome;
  tt_text message; /* why it did not answer */
  const tt_text *children;
  size_t count;
  tt_text status; /* of length 0: it stays as it is */
  const tt_mark *labels, *annotations;
  size_t labels_count, annotations_count;
  size_t events;
  uint32_t requeue_after_ms;
  bool finalized;
} tt_got;

tt_got tt_run(const tt_given *given);

#endif
