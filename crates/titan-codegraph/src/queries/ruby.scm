(method name: (_) @name) @def.method
(singleton_method name: (_) @name) @def.method
(class name: [(constant) @name (scope_resolution name: (constant) @name)]) @def.class
(module name: [(constant) @name (scope_resolution name: (constant) @name)]) @def.module
(assignment left: (constant) @name) @def.constant
(superclass [(constant) @base (scope_resolution name: (constant) @base)])
(call method: (identifier) @_include arguments: (argument_list (constant) @base) (#match? @_include "^(include|extend|prepend)$"))
(call !receiver method: (identifier) @_require arguments: (argument_list (string (string_content) @import)) (#match? @_require "^require(_relative)?$"))
(call receiver: (_)? @receiver method: (identifier) @callee)
(constant) @use
(assignment left: (identifier) @var right: (call receiver: (constant) @vartype method: (identifier) @_new (#eq? @_new "new")))
(assignment left: (instance_variable) @var right: (call receiver: (constant) @vartype method: (identifier) @_new (#eq? @_new "new")))
(body_statement (identifier) @callee)
(argument_list (identifier) @use)
