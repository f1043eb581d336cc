	.file	"two.cpp"
	.text
	.p2align 4
	.reloc ., BFD_RELOC_NONE, .LPFE1_entry;	.section	__patchable_function_entries,"awo?",@progbits,.LPFE1
	.align 8
.LPFE1_entry:	.quad	.LPFE1
	.text
.LPFE1:
	nop
	.type	_ZL5firsti, @function
_ZL5firsti:
	nop
	leal	3(%rdi), %eax
	ret
	.section	.text._Z6sharedi,"axG",@progbits,_Z6sharedi,comdat
	.p2align 4
	.weak	_Z6sharedi
	.type	_Z6sharedi, @function
_Z6sharedi:
	endbr64
	.reloc ., BFD_RELOC_NONE, .LPFE12_entry;	.section	__patchable_function_entries,"awo?",@progbits,.LPFE12
	.align 8
.LPFE12_entry:	.quad	.LPFE12
	.section	.text._Z6sharedi,"axG",@progbits,_Z6sharedi,comdat
.LPFE12:
	nop
	ret
#APP
	.pushsection __patchable_function_entries,"awo",@progbits,_Z6sharedi
	.quad	_Z6sharedi
	.popsection
	.section	__patchable_function_entries,"awo",@progbits,_Z6sharedi
	.align 8
	.quad	_Z6sharedi
	.text
#NO_APP
	.section	.rodata.str1.1,"aMS",@progbits,1
.LC0:
	.string	"\t.section\t__patchable_function_entries,\"awo\",@progbits,_Z6sharedi"
	.ident	"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0"
