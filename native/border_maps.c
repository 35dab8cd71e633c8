/* The maps' part of the border: what is asked about them beside the rows. */
#include "border.h"
#include "maps.h"

/* mapLook(handle): as maps_look(). */
static napi_value look_at_map(napi_env env, napi_callback_info info) {
  napi_value values[1], answer;
  int32_t handle = -1;
  struct border *border = border_arguments(env, info, 1, values);
  if (border == NULL) return border_fail(env, "mapLook(handle)");
  napi_get_value_int32(env, values[0], &handle);
  napi_create_double(env, (double)maps_look(handle), &answer);
  return answer;
}

/* mapForget(handle): its memory was collected. */
static napi_value forget_map(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t handle = -1;
  struct border *border = border_arguments(env, info, 1, values);
  if (border == NULL) return border_fail(env, "mapForget(handle)");
  napi_get_value_int32(env, values[0], &handle);
  maps_forget(handle);
  return NULL;
}

/* mapsGuarded(): whether the handler of SIGBUS is ours. */
static napi_value are_maps_guarded(napi_env env, napi_callback_info info) {
  napi_value answer;
  (void)info;
  napi_get_boolean(env, maps_guarded() != 0, &answer);
  return answer;
}

void border_map_exports(struct border *border, napi_value exports) {
  border_export(border, exports, "mapLook", look_at_map);
  border_export(border, exports, "mapForget", forget_map);
  border_export(border, exports, "mapsGuarded", are_maps_guarded);
}
