// What a borrowed thread executes: load the library, call its function, and go back to what it was doing. Copied into the
// process; the tool looks on, and steps in after memfd_create, but nothing here waits for it: if it is killed, this goes on
// to the end and restores the thread with the signal frame that was prepared for that.
//
// In: rbx = RemoteBlock, rsp = top of a stack of our own, 16-byte aligned, signals blocked.
// Registers need not be kept: the signal frame has all of them, and the vector state.
#include "inject/x86_64/remote_call.h"

#define SYS_CLOSE 3
#define SYS_RT_SIGRETURN 15
#define SYS_MEMFD_CREATE 319
#define MFD_CLOEXEC 1

  .section .rodata
  .balign 16
  .globl calltap_remote_call_begin
  .hidden calltap_remote_call_begin
calltap_remote_call_begin:
  cld
  fninit
  ldmxcsr CALLTAP_REMOTE_MXCSR(%rbx)
  // What follows sets errno: the thread's value is kept in r13d, its place in r12.
  call *CALLTAP_REMOTE_ERRNO_LOCATION(%rbx)
  mov %rax, %r12
  mov (%rax), %r13d
  mov CALLTAP_REMOTE_KNOWN(%rbx), %rax
  test %rax, %rax
  jnz .Lcall

  cmpq $0, CALLTAP_REMOTE_USE_MEMFD(%rbx)
  je .Lload
  mov $SYS_MEMFD_CREATE, %eax
  lea CALLTAP_REMOTE_MEMFD_NAME(%rbx), %rdi
  mov $MFD_CLOEXEC, %esi
  syscall
  mov %rax, CALLTAP_REMOTE_FD(%rbx)
  test %rax, %rax
  js .Ldone
.Lload:  // the tool has filled the file and written its path; if not, there is no such file
  lea CALLTAP_REMOTE_PATH(%rbx), %rdi
  mov CALLTAP_REMOTE_DLOPEN_FLAGS(%rbx), %rsi
  call *CALLTAP_REMOTE_DLOPEN(%rbx)
  mov %rax, CALLTAP_REMOTE_HANDLE(%rbx)
  test %rax, %rax
  jnz .Lclose
  call .Lkeep_error
.Lclose:
  cmpq $0, CALLTAP_REMOTE_USE_MEMFD(%rbx)
  je .Llook_up
  mov $SYS_CLOSE, %eax
  mov CALLTAP_REMOTE_FD(%rbx), %rdi
  syscall
.Llook_up:
  mov CALLTAP_REMOTE_HANDLE(%rbx), %rdi
  test %rdi, %rdi
  jz .Ldone
  lea CALLTAP_REMOTE_FUNCTION(%rbx), %rsi
  call *CALLTAP_REMOTE_DLSYM(%rbx)
  mov %rax, CALLTAP_REMOTE_FOUND(%rbx)
  test %rax, %rax
  jnz .Lcall
  call .Lkeep_error
  jmp .Ldone
.Lcall:
  mov CALLTAP_REMOTE_ARGUMENT(%rbx), %rdi
  call *%rax
  mov %rax, CALLTAP_REMOTE_VALUE(%rbx)
  movq $1, CALLTAP_REMOTE_CALLED(%rbx)
.Ldone:
  mov %r13d, (%r12)
  mov $CALLTAP_REMOTE_DONE, %eax
  syscall  // the tool takes over here, if it is there
  lea CALLTAP_REMOTE_FRAME(%rbx), %rsp
  mov $SYS_RT_SIGRETURN, %eax
  syscall
  ud2

.Lkeep_error:
  mov CALLTAP_REMOTE_DLERROR(%rbx), %rax
  test %rax, %rax
  jz .Lno_error
  sub $8, %rsp
  call *%rax
  add $8, %rsp
  mov %rax, CALLTAP_REMOTE_ERROR(%rbx)
.Lno_error:
  ret
  .globl calltap_remote_call_end
  .hidden calltap_remote_call_end
calltap_remote_call_end:

  .section .note.GNU-stack, "", @progbits
