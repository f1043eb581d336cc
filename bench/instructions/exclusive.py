"""Which instructions form an exclusive access: from a load that reserves an address to the store that then succeeds only
if nothing has come between. A single step in between makes it fail, each time."""

LONGEST = 16  # instructions


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


class AArch64:
    @staticmethod
    def length(_code):
        return 4

    @staticmethod
    def is_load(code):
        return code & 0x3FC00000 == 0x08400000

    @staticmethod
    def is_store(code):
        return code & 0x3FC00000 == 0x08000000

    @staticmethod
    def branch(code):
        """How far a conditional branch leads, or None."""
        if code & 0xFF000010 == 0x54000000 or code & 0x7E000000 == 0x34000000:  # b.cond, cbz, cbnz
            return 4 * signed(code >> 5 & 0x7FFFF, 19)
        if code & 0x7E000000 == 0x36000000:  # tbz, tbnz
            return 4 * signed(code >> 5 & 0x3FFF, 14)
        return None


class RiscV:
    @staticmethod
    def length(code):
        return 4 if code & 3 == 3 else 2

    @staticmethod
    def is_load(code):
        return code & 0xF800007F == 0x1000002F

    @staticmethod
    def is_store(code):
        return code & 0xF800007F == 0x1800002F

    @staticmethod
    def branch(code):
        if code & 0x7F == 0x63:
            return signed((code >> 31) << 12 | (code >> 7 & 1) << 11 | (code >> 25 & 0x3F) << 5 | (code >> 8 & 0xF) << 1, 13)
        if code & 0xC003 == 0xC001:  # c.beqz, c.bnez
            return signed((code >> 12 & 1) << 8 | (code >> 5 & 3) << 6 | (code >> 2 & 1) << 5 | (code >> 10 & 3) << 3 |
                          (code >> 3 & 3) << 1, 9)
        return None


RULES = {"aarch64": AArch64, "riscv64": RiscV}  # others have none


def exclusive_access(architecture, address, read):
    """None if none begins at `address`; otherwise its instructions' addresses, and how many of them were executed, by the
    address where it is left. `read` gives the four bytes at an address as a number."""
    rules = RULES.get(architecture)
    if rules is None or not rules.is_load(code := read(address)):
        return None
    addresses = []
    exits = {}
    while len(addresses) < LONGEST:
        addresses.append(address)
        distance = rules.branch(code)
        if distance is not None:
            exits[address + distance] = len(addresses)
        done = rules.is_store(code)
        address += rules.length(code)
        if done:
            exits[address] = len(addresses)
            return addresses, exits
        code = read(address)
    return None
