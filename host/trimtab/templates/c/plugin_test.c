#include <stdio.h>

#include "testing.h"

static int failures;

#define EXPECT(truth) \
  if (!(truth)) failures++, fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #truth)

static void the_deployment_has_the_replicas_that_are_asked_for(void) {
  tt_given given = {
      .object = TT("{\"apiVersion\":\"example.dev/v1\",\"kind\":\"{{Kind}}\","
                   "\"metadata\":{\"name\":\"a\",\"namespace\":\"default\"},"
                   "\"spec\":{\"image\":\"nginx\",\"replicas\":3}}"),
  };
  tt_got got = tt_run(&given);
  EXPECT(got.outcome == TT_ANSWERED);
  EXPECT(got.count == 1 && tt_int(tt_at(got.children[0], "spec", "replicas", NULL), 0) == 3);
  EXPECT(!tt_is_true(tt_at(got.status, "ready", NULL)));
}

int main(void) {
  the_deployment_has_the_replicas_that_are_asked_for();
  return failures > 0;
}
