# Sites that call, with the kernel's layout of entries: a test of their own, and the others' semantics once more.
set(call_ops_programs exact_counts on_off_orders direct_and_redirect global_switch handler_order per_call_data
  override_return handlers_do_anything)
if(NOT api_call_ops_flags)
  calltap_skipped_test(api.call_ops api "CALL_OPS is for AArch64 and RISC-V: ${CALLTAP_ARCH} has no word to exchange")
  return()
endif()
api_test(call_ops VARIANTS call_ops SOURCES call_ops.c)
foreach(name ${call_ops_programs})
  api_test(${name} VARIANTS call_ops SOURCES ${name}.c)
endforeach()
foreach(number 1 2)
  string(SUBSTRING " ab" ${number} 1 letter)
  api_build(${CMAKE_CURRENT_BINARY_DIR}/call_ops/libcoming_${letter}.so call_ops coming_module.c ""
    -DMODULE_NUMBER=${number} -fPIC -shared)
endforeach()
foreach(name call_ops ${call_ops_programs})
  set_tests_properties(api.call_ops.${name} PROPERTIES ENVIRONMENT CALLTAP_CALL_OPS=1)
endforeach()

# Which sites get it: by default, everywhere, nowhere.
api_test(call_ops_choice VARIANTS call_ops SOURCES call_ops_choice.c)
foreach(use 0 1)
  add_test(NAME api.call_ops.call_ops_choice_${use}
    COMMAND ${CALLTAP_RUN} ${CMAKE_CURRENT_BINARY_DIR}/call_ops/call_ops_choice)
  set_tests_properties(api.call_ops.call_ops_choice_${use} PROPERTIES LABELS api TIMEOUT 300
    ENVIRONMENT CALLTAP_CALL_OPS=${use})
endforeach()
