/* version.c: LOWTIDE_VERSION comes from meson. */
#include "app/version.h"

const char lowtide_version[] = LOWTIDE_VERSION;
