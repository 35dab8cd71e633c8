/*
 * Paths and names as the kernel of Windows takes them: wide, without `.` and `..`, seen from a
 * directory that is held open, or whole. Like path.toNamespacedPath() of Node: nothing else is made
 * of them, a space or a dot at the end stays, `con` is a name like others, no length is too long.
 */
#include "nt.h"

#include <stdlib.h>
#include <string.h>

#define CURRENT_DIRECTORY (-100) /* AT_FDCWD */
#define UNITS_MAX 32767U         /* what the length of a UNICODE_STRING holds */

/* ------------------------------------------------------------------------------ characters */

/* Bytes of the character at `text`, its code in `code`; 0 where it is not UTF-8. */
static int character_at(const unsigned char *text, uint32_t *code) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  int length = *text < 0x80 ? 1 : *text < 0xc2 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : 4;
  if (length == 0 || *text > 0xf4) return 0;
  *code = length == 1 ? *text : *text & (0xffU >> (length + 1));
  for (int index = 1; index < length; index++) {
    if ((text[index] & 0xc0) != 0x80) return 0;
    *code = *code << 6 | (text[index] & 0x3fU);
  }
  return *code < least[length] || *code > 0x10ffff ? 0 : length;
}

/* Units written, as many as bytes at most; -1 where it is not UTF-8. `/` becomes a backslash. */
int nt_widen(const char *text, WCHAR *out) {
  int units = 0;
  for (const unsigned char *at = (const unsigned char *)text; *at != 0;) {
    uint32_t code = 0;
    int length = character_at(at, &code);
    if (length == 0) return -1;
    at += length;
    if (code >= 0x10000) {
      out[units++] = (WCHAR)(0xd800 + ((code - 0x10000) >> 10));
      out[units++] = (WCHAR)(0xdc00 + ((code - 0x10000) & 0x3ff));
    } else {
      out[units++] = code == '/' ? L'\\' : (WCHAR)code;
    }
  }
  out[units] = 0;
  return units;
}

static int is_pair(const WCHAR *text, size_t left) {
  return left > 1 && (text[0] & 0xfc00) == 0xd800 && (text[1] & 0xfc00) == 0xdc00;
}

int nt_narrow(const WCHAR *text, size_t units, char *out, size_t capacity) {
  size_t length = 0;
  for (size_t index = 0; index < units; index++) {
    uint32_t code = text[index];
    if (is_pair(text + index, units - index)) {
      code = 0x10000 + ((code & 0x3ff) << 10) + (text[++index] & 0x3ffU);
    }
    int bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (length + (size_t)bytes > capacity) return -1;
    for (int at = bytes - 1; at > 0; at--, code >>= 6) {
      out[length + (size_t)at] = (char)(0x80 | (code & 0x3f));
    }
    out[length] = (char)(bytes == 1 ? code : (0xf00U >> bytes & 0xf0U) | code);
    length += (size_t)bytes;
  }
  return (int)length;
}

/* ----------------------------------------------------------------------------------- parts */

static int is_separator(WCHAR unit) { return unit == L'\\' || unit == L'/'; }

static int has_drive(const WCHAR *path) {
  WCHAR letter = path[0] | 0x20;
  return letter >= 'a' && letter <= 'z' && path[1] == ':';
}

/*
 * Takes `.`, `..` and what is empty out of the parts behind `root`, in place. Answers the units
 * left, or -1 where `..` leads out of it: nothing does out of the root of a volume.
 */
static int tidy(WCHAR *path, int units, int root, int is_absolute) {
  int out = root;
  for (int at = root; at < units;) {
    while (at < units && is_separator(path[at])) at++;
    int start = at;
    while (at < units && !is_separator(path[at])) at++;
    int length = at - start;
    if (length == 0 || (length == 1 && path[start] == '.')) continue;
    if (length == 2 && path[start] == '.' && path[start + 1] == '.') {
      if (out == root && !is_absolute) return -1;
      while (out > root && !is_separator(path[out - 1])) out--;
      if (out > root) out--;
      continue;
    }
    if (out > root) path[out++] = L'\\';
    memmove(path + out, path + start, (size_t)length * sizeof *path);
    out += length;
  }
  path[out] = 0;
  return out;
}

/* Behind `\\?\` in front of a path there is `??\` to NT, and `UNC\` before a server's name. */
static const WCHAR plain_prefix[] = L"\\??\\";
static const WCHAR server_prefix[] = L"\\??\\UNC\\";

/* Where the parts of a whole path begin: behind `\??\C:\`, or `\??\UNC\server\share\`. */
static int root_of(const WCHAR *path, int units, int is_server) {
  int at = is_server ? 8 : 7;
  for (int parts = is_server ? 2 : 0; parts > 0 && at < units; parts--) {
    while (at < units && !is_separator(path[at])) at++;
    if (at < units) at++;
  }
  return at < units ? at : units;
}

/* ----------------------------------------------------------------------------- whole paths */

/* What a path without a root is seen from, ending in a separator; `C:` has its own. */
static int base_of(const WCHAR *path, WCHAR *out, size_t capacity) {
  WCHAR drive[] = {path[0], ':', '.', 0};
  int is_drives = has_drive(path);
  DWORD units = is_drives ? GetFullPathNameW(drive, (DWORD)capacity - 2, out, NULL)
                          : GetCurrentDirectoryW((DWORD)capacity - 2, out);
  if (units == 0 || units > capacity - 2) return -1;
  if (is_separator(path[0])) {
    /* The root of the volume: `C:`, or `\\server\share`. */
    int at = 2;
    for (int parts = has_drive(out) ? 0 : 2; parts > 0; parts--) {
      while (out[at] != 0 && !is_separator(out[at])) at++;
      if (parts > 1 && out[at] != 0) at++;
    }
    units = (DWORD)at;
  }
  out[units++] = L'\\';
  out[units] = 0;
  return (int)units;
}

/* Makes `\??\...` of a whole path in a buffer with room for the longest there is. */
static int whole(const WCHAR *path, int units, WCHAR *out) {
  int is_verbatim = units >= 4 && is_separator(path[0]) && is_separator(path[1]) &&
                    (path[2] == '?' || path[2] == '.') && is_separator(path[3]);
  int is_server = !is_verbatim && units >= 2 && is_separator(path[0]) && is_separator(path[1]);
  int skipped = is_verbatim ? 4 : is_server ? 2 : 0;
  const WCHAR *prefix = is_server ? server_prefix : plain_prefix;
  int prefix_units = is_server ? 8 : 4;
  if ((unsigned)(units - skipped + prefix_units) >= UNITS_MAX) return -1;
  memcpy(out, prefix, (size_t)prefix_units * sizeof *out);
  memcpy(out + prefix_units, path + skipped, (size_t)(units - skipped + 1) * sizeof *out);
  int length = prefix_units + units - skipped;
  if (is_verbatim) return length;
  return tidy(out, length, root_of(out, length, is_server), 1);
}

static int is_rooted(const WCHAR *path) {
  return (has_drive(path) && is_separator(path[2])) ||
         (is_separator(path[0]) && is_separator(path[1]));
}

/* Units of `\??\...` in `out`, which has room for UNITS_MAX; -errno. */
static int make_whole(WCHAR *path, int units, WCHAR *out) {
  if (is_rooted(path)) {
    int length = whole(path, units, out);
    return length < 0 ? -ENAMETOOLONG : length;
  }
  WCHAR *joined = malloc(2 * (UNITS_MAX + 1) * sizeof *joined);
  if (joined == NULL) return -ENOMEM;
  int base = base_of(path, joined, UNITS_MAX);
  int length = base < 0 ? -ENOENT : -ENAMETOOLONG;
  if (base >= 0) {
    int skipped = has_drive(path) ? 2 : 0;
    memcpy(joined + base, path + skipped, (size_t)(units - skipped + 1) * sizeof *joined);
    int made = whole(joined, base + units - skipped, out);
    if (made >= 0) length = made;
  }
  free(joined);
  return length;
}

/* A name that leads out of the directory it is seen from: by the path of that directory. */
static int make_beside(HANDLE directory, const WCHAR *name, int units, WCHAR *out) {
  WCHAR *joined = malloc(2 * (UNITS_MAX + 1) * sizeof *joined);
  if (joined == NULL) return -ENOMEM;
  int length = -ENOENT;
  DWORD base = GetFinalPathNameByHandleW(directory, joined, UNITS_MAX - 1, 0);
  if (base > 4 && base < UNITS_MAX - 1) {
    /* `\\?\UNC\server` or `\\?\C:`: the first becomes `\\server`, so that its parts are tidied. */
    int is_server = base > 8 && memcmp(joined + 4, L"UNC\\", 4 * sizeof *joined) == 0;
    WCHAR *start = joined + (is_server ? 6 : 4);
    if (is_server) start[0] = L'\\';
    int at = (int)(base - (is_server ? 6 : 4));
    start[at++] = L'\\';
    memcpy(start + at, name, (size_t)(units + 1) * sizeof *joined);
    length = whole(start, at + units, out);
    if (length < 0) length = -ENAMETOOLONG;
  }
  free(joined);
  return length;
}

/* ----------------------------------------------------------------------------------- names */

/* Units in `out`; the directory they are seen from in `root`, NULL for whole paths. -errno. */
static int place(int directory, const char *path, WCHAR *wide, WCHAR **out, HANDLE *root) {
  int units = nt_widen(path, wide);
  *root = NULL;
  if (units < 0) return -EILSEQ;
  if (units == 0) return -ENOENT;
  /* What is put together below has room for two such. */
  if ((unsigned)units >= UNITS_MAX) return -ENAMETOOLONG;
  if (directory != CURRENT_DIRECTORY && !has_drive(wide) && !is_separator(wide[0])) {
    HANDLE handle = nt_handle(directory);
    if (handle == INVALID_HANDLE_VALUE) return -EBADF;
    WCHAR *beside = malloc((size_t)(units + 1) * sizeof *beside);
    if (beside == NULL) return -ENOMEM;
    memcpy(beside, wide, (size_t)(units + 1) * sizeof *beside);
    int left = tidy(wide, units, 0, 0);
    if (left >= 0) {
      free(beside);
      *out = wide;
      *root = handle;
      return left;
    }
    int made = make_beside(handle, beside, units, *out);
    free(beside);
    return made;
  }
  return make_whole(wide, units, *out);
}

int64_t nt_name(struct nt_name *name, int directory, const char *path) {
  size_t bytes = strlen(path);
  if (bytes > 3 * (size_t)UNITS_MAX) return -ENAMETOOLONG;
  /* What is asked, and behind it room for what is made of it. */
  WCHAR *memory = malloc((bytes + 4 + UNITS_MAX + 1) * sizeof *memory);
  if (memory == NULL) return -ENOMEM;
  WCHAR *out = memory + bytes + 4;
  HANDLE root = NULL;
  int units = place(directory, path, memory, &out, &root);
  if (units >= 0 && (unsigned)units >= UNITS_MAX) units = -ENAMETOOLONG;
  if (units < 0) {
    free(memory);
    return units;
  }
  name->memory = memory;
  name->text.Buffer = out;
  name->text.Length = (USHORT)((size_t)units * sizeof *out);
  name->text.MaximumLength = name->text.Length;
  InitializeObjectAttributes(&name->attributes, &name->text, OBJ_CASE_INSENSITIVE, root, NULL);
  return 0;
}

void nt_forget(struct nt_name *name) { free(name->memory); }

WCHAR *nt_path(int directory, const char *path) {
  struct nt_name name;
  if (nt_name(&name, directory, path) < 0) return NULL;
  size_t units = name.text.Length / sizeof(WCHAR);
  WCHAR *out = malloc((UNITS_MAX + 1) * sizeof *out);
  int length = -1;
  if (out != NULL && name.attributes.RootDirectory != NULL) {
    length = make_beside(name.attributes.RootDirectory, name.text.Buffer, (int)units, out);
  } else if (out != NULL) {
    memcpy(out, name.text.Buffer, units * sizeof *out);
    length = (int)units;
  }
  nt_forget(&name);
  if (length < 4) {
    free(out);
    return NULL;
  }
  out[length] = 0;
  out[1] = L'\\'; /* \??\ is \\?\ to Win32 */
  return out;
}
