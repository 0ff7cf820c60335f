"""The wheel is of one platform, because the program is in it. auditwheel, which puts the libraries
beside the program, says of which."""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Program(BuildHookInterface):
    def initialize(self, version, build_data):
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-linux_x86_64"
        build_data["force_include"]["bin/lowtide"] = "lowtide/bin/lowtide"
