/* JSON as far as a plugin needs it: values are found in the text and written into
 * one; no tree is made. What the host gives is valid, so nothing is checked twice. */
#include "trimtab.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *space(const char *at, const char *end) {
  while (at < end && strchr(" \t\r\n", *at)) at++;
  return at;
}

/* Past a string, which begins here. */
static const char *past_string(const char *at, const char *end) {
  for (at++; at < end && *at != '"'; at++) {
    if (*at == '\\') at++;
  }
  return at < end ? at + 1 : end;
}

/* Past a value, which begins here. */
static const char *past_value(const char *at, const char *end) {
  size_t depth = 0;
  while (at < end) {
    if (*at == '"') {
      at = past_string(at, end);
    } else {
      if (*at == '{' || *at == '[') depth++;
      if (*at == '}' || *at == ']') {
        if (depth == 0) return at;
        depth--;
      } else if (depth == 0 && (*at == ',' || strchr(" \t\r\n", *at))) {
        return at;
      }
      at++;
    }
    if (depth == 0 && (at[-1] == '"' || at[-1] == '}' || at[-1] == ']')) return at;
  }
  return end;
}

/* The value of a key that is written without escapes. */
static tt_text member(tt_text object, const char *key) {
  const char *end = object.at + object.length;
  const char *at = space(object.at, end);
  if (at >= end || *at != '{') return (tt_text){0};
  for (at = space(at + 1, end); at < end && *at == '"';) {
    const char *name = at + 1;
    at = past_string(at, end);
    size_t length = (size_t)(at - name - 1);
    at = space(at, end) + 1; /* the colon */
    const char *value = space(at, end);
    at = past_value(value, end);
    if (length == strlen(key) && memcmp(name, key, length) == 0) return (tt_text){value, (size_t)(at - value)};
    at = space(at, end);
    if (at < end && *at == ',') at = space(at + 1, end);
  }
  return (tt_text){0};
}

tt_text tt_at(tt_text json, ...) {
  va_list keys;
  va_start(keys, json);
  for (const char *key = va_arg(keys, const char *); key != NULL; key = va_arg(keys, const char *)) {
    json = member(json, key);
  }
  va_end(keys);
  return json;
}

static uint32_t hexadecimal(const char *at) {
  char digits[5] = {at[0], at[1], at[2], at[3], 0};
  return (uint32_t)strtoul(digits, NULL, 16);
}

static char *put_utf8(char *out, uint32_t code) {
  if (code < 0x80) {
    *out++ = (char)code;
  } else if (code < 0x800) {
    *out++ = (char)(0xc0 | code >> 6);
    *out++ = (char)(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *out++ = (char)(0xe0 | code >> 12);
    *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    *out++ = (char)(0x80 | (code & 0x3f));
  } else {
    *out++ = (char)(0xf0 | code >> 18);
    *out++ = (char)(0x80 | (code >> 12 & 0x3f));
    *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    *out++ = (char)(0x80 | (code & 0x3f));
  }
  return out;
}

/* What follows a backslash, written to `out`; moves `at` past it. */
static char *unescape(const char **at, const char *end, char *out) {
  static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
  char escape = *(*at)++;
  if (escape != 'u') {
    const char *name = strchr(names, escape);
    *out++ = name && escape ? values[name - names] : escape;
    return out;
  }
  uint32_t code = hexadecimal(*at);
  *at += 4;
  if (code >> 10 == 0x36 && end - *at >= 6) { /* the first half of a pair */
    code = 0x10000 + ((code & 0x3ff) << 10) + (hexadecimal(*at + 2) & 0x3ff);
    *at += 6;
  }
  return put_utf8(out, code);
}

tt_text tt_string(tt_text value, tt_text otherwise) {
  if (value.length < 2 || value.at[0] != '"') return otherwise;
  const char *at = value.at + 1, *end = value.at + value.length - 1;
  char *text = malloc(value.length), *out = text;
  if (text == NULL) __builtin_trap();
  while (at < end) {
    if (*at == '\\') {
      at++;
      out = unescape(&at, end, out);
    } else {
      *out++ = *at++;
    }
  }
  return (tt_text){text, (size_t)(out - text)};
}

int64_t tt_int(tt_text value, int64_t otherwise) {
  char digits[24] = {0};
  if (value.length == 0 || value.length >= sizeof digits || strchr("\"{[tfn", value.at[0])) return otherwise;
  memcpy(digits, value.at, value.length);
  char *end;
  int64_t number = strtoll(digits, &end, 10);
  return *end == 0 ? number : otherwise;
}

bool tt_is_true(tt_text value) { return value.length == 4 && memcmp(value.at, "true", 4) == 0; }

/* A text that grows. */
typedef struct {
  char *at;
  size_t length, room;
} buffer;

static void put(buffer *buffer, const char *bytes, size_t count) {
  if (buffer->length + count > buffer->room) {
    buffer->room = 2 * buffer->room + count + 256;
    buffer->at = realloc(buffer->at, buffer->room);
    if (buffer->at == NULL) __builtin_trap();
  }
  if (count > 0) memcpy(buffer->at + buffer->length, bytes, count);
  buffer->length += count;
}

static void put_json_string(buffer *buffer, tt_text text) {
  static const char digits[] = "0123456789abcdef";
  put(buffer, "\"", 1);
  size_t done = 0;
  for (size_t at = 0; at < text.length; at++) {
    unsigned char byte = (unsigned char)text.at[at];
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    char escape[6] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
    put(buffer, text.at + done, at - done);
    put(buffer, escape, sizeof escape);
    done = at + 1;
  }
  put(buffer, text.at + done, text.length - done);
  put(buffer, "\"", 1);
}

static void put_int(buffer *buffer, int64_t number) {
  char digits[21], *at = digits + sizeof digits;
  uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  do *--at = (char)('0' + rest % 10);
  while (rest /= 10);
  if (number < 0) *--at = '-';
  put(buffer, at, (size_t)(digits + sizeof digits - at));
}

tt_text tt_format(const char *format, ...) {
  buffer out = {0};
  va_list values;
  va_start(values, format);
  for (const char *next; (next = strchr(format, '%')); format = next + 2) {
    put(&out, format, (size_t)(next - format));
    if (next[1] == 'd') {
      put_int(&out, va_arg(values, int64_t));
    } else if (next[1] == '%') {
      put(&out, "%", 1);
    } else {
      tt_text text = va_arg(values, tt_text);
      next[1] == 'j' ? put_json_string(&out, text) : put(&out, text.at, text.length);
    }
  }
  va_end(values);
  put(&out, format, strlen(format));
  return (tt_text){out.at, out.length};
}
