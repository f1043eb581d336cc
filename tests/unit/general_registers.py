"""No instruction of code that runs inside hooked calls touches a vector or floating-point register.

usage: general_registers.py OBJDUMP ARCHITECTURE FILE [--except OBJECT...]

Disassembles the FILE's .text (trampolines, whose business these registers are, lie in a section of their own), but for the
functions that the OBJECTs define.
"""

import argparse
import re
import subprocess

# What objdump prints for such a register, or for an instruction that needs none of them named.
FORBIDDEN = {
    "x86_64": re.compile(r"%[xyz]mm|%mm[0-7]|%st\b|%k[0-7]|^(f(?!s\b)|v|emms|ldmxcsr)"),
    "aarch64": re.compile(r"[\s,{\[](v\d+\.|[bhsdqvzp]\d+\b)"),
    "riscv64": re.compile(r"[\s,](f[tsa]\d+\b|v\d+\b)|^(f(?!ence)|c\.f|v)"),
}
# Each architecture's instructions of both kinds: the check itself is checked.
SAMPLES = {
    "x86_64": (["movaps %xmm0,(%rsp)", "fldt 0x8(%rsp)", "vzeroupper", "kmovq %k1,%rax", "paddd (%rax),%mm1"],
               ["mov %rax,%fs:0x10", "fs addr32 nop", "xor %eax,%eax", "rep stos %al,%es:(%rdi)"]),
    "aarch64": (["stp q0, q1, [sp, #-32]!", "fmov d0, x1", "ld1 {v0.16b}, [x0]", "str z0, [x1]", "ldr s3, [x2]"],
                ["stp x29, x30, [sp, #-16]!", "dmb ish", "mrs x0, tpidr_el0", "b.ne d10 <blob+0x1>", "ldr w3, [x2]"]),
    "riscv64": (["fsd fs0,8(sp)", "fmv.d.x fa5,a5", "vle8.v v0,(a0)", "c.fld fa0,0(a0)", "frcsr a0"],
                ["fence rw,w", "fence.i", "sd s0,8(sp)", "mv a0,tp", "csrr a0,time", "beqz a0,fa6 <.L1>"]),
}


def check_the_check(architecture):
    touching, other = SAMPLES[architecture]
    for instruction in touching:
        assert FORBIDDEN[architecture].search(plain(instruction)), f"'{instruction}' is let through"
    for instruction in other:
        assert not FORBIDDEN[architecture].search(plain(instruction)), f"'{instruction}' is found"


def plain(instruction):
    """Without what objdump appends to some, and without branch targets: their digits may look like registers."""
    instruction = re.sub(r"[\s,](0x)?[0-9a-f]+ <.*|\s*(#|//|<).*", "", instruction)
    return re.sub(r"\s+", " ", instruction)


def disassemble(objdump, file):
    """Pairs of function and instruction."""
    command = [objdump, "--disassemble", "--no-show-raw-insn", "--section=.text", file]
    function = None
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        if match := re.fullmatch(r"[0-9a-f]+ <(.+)>:", line):
            function = match[1]
        elif match := re.match(r"\s*[0-9a-f]+:\s+(\S.*)", line):
            yield function, plain(match[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("objdump")
    parser.add_argument("architecture")
    parser.add_argument("file")
    parser.add_argument("--except", dest="excepted", nargs="+", default=[])
    arguments = parser.parse_args()
    check_the_check(arguments.architecture)
    excepted = {function for file in arguments.excepted for function, _ in disassemble(arguments.objdump, file)}
    found, count = [], 0
    for function, instruction in disassemble(arguments.objdump, arguments.file):
        count += 1
        if function not in excepted and FORBIDDEN[arguments.architecture].search(instruction):
            found.append(f"{function}: {instruction}")
    assert count > 1000, f"only {count} instructions in {arguments.file}"
    assert not found, "touched in hooked calls:\n" + "\n".join(found)
    print(f"{count} instructions")


if __name__ == "__main__":
    main()
