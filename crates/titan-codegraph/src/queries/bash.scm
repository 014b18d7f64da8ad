(function_definition name: (word) @name) @def.function
(program (variable_assignment name: (variable_name) @name) @def.constant)
(command name: (command_name (word) @_source) . argument: (_) @import (#match? @_source "^(source|\\.)$"))
(command name: (command_name (word) @callee))
