"""Who is measured, in the order of the tables."""

from .contenders import Calltap, CalltapRecord, Contender, Instrumented, Preloaded, Uftrace, Uprobes, XRay
from .lttng import Lttng

OFF, HOOKED, COUNTED, RECORDED = "off", "hooked", "counted", "recorded"


def counting_library(env):
    return env.counting_client


def runtime_library(env):
    return env.build / "lib" / "libcalltap.so"


def bare_hook(env):
    return env.bare_hook


def all_contenders():
    found = [Contender(name, f"{name}, nothing in it", "plain", name) for name in ("gcc", "clang-14", "clang-19")]
    found += [
        Calltap("calltap-off", "Calltap: off, GCC `=18,16`", OFF, "gcc-18,16"),
        Calltap("calltap-off-clang", "Calltap: off, clang 14 `=18,16`", OFF, "clang-14-18,16"),
        Preloaded("calltap-hooked", "Calltap: hooked, no clock", HOOKED, "gcc-18,16", libraries=[bare_hook]),
        Preloaded("calltap-counted", "Calltap: one callback that counts", COUNTED, "gcc-18,16",
                  libraries=[runtime_library, counting_library]),
        CalltapRecord("calltap-recorded", "Calltap: `calltap record`", RECORDED, "gcc-18,16", 2),
        Instrumented("cyg-empty", "`-finstrument-functions`, empty hooks in the program", HOOKED, "gcc-cyg-empty"),
    ]
    for version in ("14", "19"):
        build = f"clang-{version}-xray"
        found += [
            XRay(f"xray{version}-off", f"XRay {version}: not patched", OFF, build),
            XRay(f"xray{version}-noop", f"XRay {version}: handler that does nothing", HOOKED, build, mode="noop"),
            XRay(f"xray{version}-count", f"XRay {version}: handler that counts", COUNTED, build, mode="count"),
            XRay(f"xray{version}-fdr", f"XRay {version}: flight data recorder", RECORDED, build, 8, mode="fdr"),
            XRay(f"xray{version}-basic", f"XRay {version}: basic mode", RECORDED, build, 25, mode="basic"),
        ]
    found += [
        Uftrace("uftrace-pg", "uftrace: `-pg`", RECORDED, "gcc-pg", 8),
        Uftrace("uftrace-patch", "uftrace: `=5`, `-P .`", RECORDED, "gcc-5", 8, options=["-P", "."]),
        Lttng("lttng-idle", "LTTng cyg-profile-fast, no session", HOOKED, "gcc-cyg", 1, library="fast", session=False),
        Lttng("lttng-fast", "LTTng cyg-profile-fast", RECORDED, "gcc-cyg", 12, library="fast"),
        Lttng("lttng-full", "LTTng cyg-profile", RECORDED, "gcc-cyg", 12, library="full"),
        Uprobes("uprobe-count", "uprobe on NOPs, counting entries", COUNTED, "gcc-5", 100, mode="count"),
        Uprobes("uprobe-both", "uprobe and uretprobe on NOPs, counting", HOOKED, "gcc-5", 100, mode="count-both"),
        Uprobes("uprobe-recorded", "uprobe and uretprobe on NOPs, ring buffer", RECORDED, "gcc-5", 100,
                mode="record-both"),
    ]
    return found
