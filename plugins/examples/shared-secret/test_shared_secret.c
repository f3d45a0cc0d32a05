#include <stdio.h>
#include <string.h>

#include "testing.h"

static int failures;

#define EXPECT(truth) \
  if (!(truth)) failures++, fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #truth)

static bool reads(tt_text text, const char *expected) {
  return text.length == strlen(expected) && memcmp(text.at, expected, text.length) == 0;
}

static const tt_text secrets[] = {
    TT("{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"pull\",\"namespace\":\"ops\"},"
       "\"data\":{\"key\":\"dmFsdWU=\"}}"),
};

/* What a Namespace of that name and rest of metadata is given. */
static tt_got given(const char *name, const char *rest, size_t secrets_there) {
  tt_text metadata = tt_format("{\"name\":%j%s}", (tt_text){name, strlen(name)}, (tt_text){rest, strlen(rest)});
  tt_given given = {
      .object = tt_format("{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":%s}", metadata),
      .config = TT("{\"name\":\"pull\",\"namespace\":\"ops\"}"),
      .objects = secrets,
      .objects_count = secrets_there,
  };
  return tt_run(&given);
}

static void a_namespace_has_a_copy(void) {
  tt_got got = given("shop", "", 1);
  EXPECT(got.outcome == TT_ANSWERED && got.count == 1);
  EXPECT(reads(tt_at(got.children[0], "metadata", "namespace", NULL), "\"shop\""));
  EXPECT(reads(tt_at(got.children[0], "data", "key", NULL), "\"dmFsdWU=\""));
  EXPECT(got.annotations_count == 1 && reads(got.annotations[0].value, "ops"));
}

static void it_is_waited_for(void) {
  tt_got got = given("shop", "", 0);
  EXPECT(got.outcome == TT_WAITING && reads(got.message, "waiting for the secret pull in ops"));
}

static void neither_its_own_namespace_nor_one_that_goes_has_one(void) {
  EXPECT(given("ops", "", 1).count == 0);
  EXPECT(given("shop", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"", 1).count == 0);
}

static void the_namespaces_are_those_of_the_config(void) {
  tt_text described = trimtab_describe(TT("{\"selector\":\"team in (web)\"}"));
  EXPECT(strstr(described.at, "\"labelSelector\":\"team in (web)\"") != NULL);
}

int main(void) {
  a_namespace_has_a_copy();
  it_is_waited_for();
  neither_its_own_namespace_nor_one_that_goes_has_one();
  the_namespaces_are_those_of_the_config();
  return failures > 0;
}
