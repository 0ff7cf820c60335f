/* version.h: which lowtide this is; the number stands in the root meson.build alone. */
#pragma once

extern const char lowtide_version[];
