/*
 * What the addon takes from the program that loads it, found by name at load, wherever it stands:
 * in node.exe under any name, in a node.dll, in Electron. An import library would tie it to a
 * module that is called node.exe.
 *
 * Node-API is declared as imported (NAPI_EXTERN), so calls go through the pointers __imp_<name>,
 * which a linker makes from an import library: here they are made by hand. A name that is missing
 * fails the load, as it does on other systems; one missing in the list fails the link.
 *
 * Nothing of the C runtime is started (DllMain is the entry): it has nothing to do for us.
 */
#include "nt.h"

#define NODE_API(F)                                                                              \
  F(napi_add_env_cleanup_hook)                                                                   \
  F(napi_call_function)                                                                          \
  F(napi_call_threadsafe_function)                                                               \
  F(napi_create_double)                                                                          \
  F(napi_create_function)                                                                        \
  F(napi_create_int32)                                                                           \
  F(napi_create_reference)                                                                       \
  F(napi_create_string_utf8)                                                                     \
  F(napi_create_threadsafe_function)                                                             \
  F(napi_create_uint32)                                                                          \
  F(napi_delete_reference)                                                                       \
  F(napi_get_boolean)                                                                            \
  F(napi_get_cb_info)                                                                            \
  F(napi_get_element)                                                                            \
  F(napi_get_typedarray_info)                                                                    \
  F(napi_get_undefined)                                                                          \
  F(napi_get_value_double)                                                                       \
  F(napi_get_value_int32)                                                                        \
  F(napi_get_value_uint32)                                                                       \
  F(napi_ref_threadsafe_function)                                                                \
  F(napi_set_instance_data)                                                                      \
  F(napi_set_named_property)                                                                     \
  F(napi_throw_error)                                                                            \
  F(napi_unref_threadsafe_function)

#define DEFINE(name) void *__imp_##name;
NODE_API(DEFINE)

struct wanted {
  const char *name;
  void **found;
};

#define ENTRY(name) {#name, &__imp_##name},
static const struct wanted wanted[] = {
    NODE_API(ENTRY)
    {"uv_get_osfhandle", (void **)&host.handle_of},
    {"uv_open_osfhandle", (void **)&host.descriptor_of},
    {"uv_fs_close", (void **)&host.close},
    {"uv_fs_req_cleanup", (void **)&host.forget_request},
    {"uv_translate_sys_error", (void **)&host.errno_of},
    {"uv_req_size", (void **)&host.request_bytes},
};

static HMODULE host_module(void) {
  static const WCHAR *const names[] = {NULL, L"node.dll", L"libnode.dll"};
  for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
    HMODULE module = GetModuleHandleW(names[index]);
    if (module != NULL && GetProcAddress(module, wanted[0].name) != NULL) return module;
  }
  return NULL;
}

static int find_all(void) {
  HMODULE module = host_module();
  if (module == NULL) return 0;
  for (size_t index = 0; index < sizeof wanted / sizeof *wanted; index++) {
    *wanted[index].found = (void *)GetProcAddress(module, wanted[index].name);
    if (*wanted[index].found == NULL) return 0;
  }
  return 1;
}

/* What -fstack-protector-strong asks for; libssp of mingw would bring ADVAPI32 along. */
uintptr_t __stack_chk_guard = 0x5bd1e995a3f0c600;

/* FAST_FAIL_STACK_COOKIE_CHECK_FAILURE: the process ends, no handler runs. */
void __stack_chk_fail(void) {
  __asm__ volatile("int $0x29" : : "c"(2));
  __builtin_unreachable();
}

/* Its lowest byte stays 0, which ends every string that runs over. */
__attribute__((optimize("no-stack-protector"))) static void choose_guard(void) {
  LARGE_INTEGER counter;
  QueryPerformanceCounter(&counter);
  uint64_t mixed = (uint64_t)counter.QuadPart ^ ((uint64_t)GetCurrentProcessId() << 32) ^
                   (uint64_t)(uintptr_t)&counter ^ __builtin_ia32_rdtsc();
  mixed *= 0x9e3779b97f4a7c15U;
  __stack_chk_guard = (uintptr_t)(mixed ^ (mixed >> 29)) << 8;
}

__attribute__((optimize("no-stack-protector"))) BOOL WINAPI DllMain(HINSTANCE module, DWORD reason,
                                                                    LPVOID reserved) {
  (void)reserved;
  if (reason != DLL_PROCESS_ATTACH) return TRUE;
  choose_guard();
  DisableThreadLibraryCalls(module);
  return find_all();
}
