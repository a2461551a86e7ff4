// JNDI at work: every step says what the library made of the answer, and throws where it should not be so.
import java.util.*;
import javax.naming.*;
import javax.naming.directory.*;
import javax.naming.ldap.*;

public class Jndi {
    static final String SUFFIX = System.getenv("LDAP_SUFFIX");
    static final String PEOPLE = "ou=people," + SUFFIX;

    static LdapContext context(String... settings) throws NamingException {
        Hashtable<String, Object> environment = new Hashtable<>();
        environment.put(Context.INITIAL_CONTEXT_FACTORY, "com.sun.jndi.ldap.LdapCtxFactory");
        environment.put(Context.PROVIDER_URL, System.getenv("LDAP_URL"));
        environment.put(Context.SECURITY_AUTHENTICATION, "simple");
        environment.put(Context.SECURITY_PRINCIPAL, System.getenv("LDAP_ADMIN"));
        environment.put(Context.SECURITY_CREDENTIALS, System.getenv("LDAP_ADMIN_PASSWORD"));
        environment.put("com.sun.jndi.ldap.read.timeout", "20000");
        environment.put("java.naming.ldap.attributes.binary", "jpegPhoto");
        for (int at = 0; at < settings.length; at += 2) {
            environment.put(settings[at], settings[at + 1]);
        }
        return new InitialLdapContext(environment, null);
    }

    static SearchControls subtree(String... attributes) {
        SearchControls controls = new SearchControls();
        controls.setSearchScope(SearchControls.SUBTREE_SCOPE);
        controls.setReturningAttributes(attributes.length == 0 ? null : attributes);
        return controls;
    }

    static List<String> values(LdapContext context, String base, String filter, String attribute) throws NamingException {
        List<String> found = new ArrayList<>();
        NamingEnumeration<SearchResult> results = context.search(base, filter, subtree(attribute));
        while (results.hasMore()) {
            Attribute values = results.next().getAttributes().get(attribute);
            found.add(values == null ? "-" : values.get().toString());
        }
        return found;
    }

    static String fails(Class<? extends NamingException> kind, java.util.concurrent.Callable<?> job) throws Exception {
        try {
            job.call();
        } catch (NamingException error) {
            if (kind.isInstance(error)) {
                return kind.getSimpleName() + error.getMessage().replaceAll("^\\[LDAP: error code (\\d+).*", " $1");
            }
            throw error;
        }
        throw new IllegalStateException("no " + kind);
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("wrong password: " + fails(AuthenticationException.class,
            () -> context(Context.SECURITY_CREDENTIALS, "wrong")));
        LdapContext context = context();

        // With arguments in the filter, which JNDI escapes.
        NamingEnumeration<SearchResult> found =
            context.search(PEOPLE, "(&(cn={0})(objectClass=*))", new Object[] {"Star * (Odd) \\ Name"}, subtree("uid", "CN"));
        SearchResult star = found.next();
        System.out.println("star: " + star.getName() + " " + star.getNameInNamespace() + " " + star.getAttributes().get("CN").get());
        byte[] photo = (byte[]) context.getAttributes("uid=ann," + PEOPLE, new String[] {"jpegPhoto"}).get("jpegPhoto").get();
        System.out.println("photo: " + photo.length + " bytes");

        // Writing.
        Attributes eve = new BasicAttributes(true);
        eve.put("objectClass", "inetOrgPerson");
        eve.put("uid", "eve");
        eve.put("cn", "Eve");
        eve.put("sn", "Baker");
        context.createSubcontext("uid=eve," + PEOPLE, eve).close();
        context.modifyAttributes("uid=eve," + PEOPLE, new ModificationItem[] {
            new ModificationItem(DirContext.REPLACE_ATTRIBUTE, new BasicAttribute("sn", "M\u00fcller")),
            new ModificationItem(DirContext.ADD_ATTRIBUTE, new BasicAttribute("mail", "eve@example.com")),
        });
        System.out.println("again: " + fails(NameAlreadyBoundException.class,
            () -> context.createSubcontext("uid=eve," + PEOPLE, eve)));
        System.out.println("no such class: " + fails(SchemaViolationException.class, () -> {
            context.modifyAttributes("uid=eve," + PEOPLE, DirContext.REMOVE_ATTRIBUTE, new BasicAttributes("sn", null));
            return null;
        }));
        context.rename("uid=eve," + PEOPLE, "uid=evelyn,ou=groups," + SUFFIX);
        Attributes moved = context.getAttributes("uid=evelyn,ou=groups," + SUFFIX, new String[] {"uid", "sn"});
        System.out.println("moved: " + moved.get("uid").get() + " " + moved.get("sn").get());
        context.destroySubcontext("uid=evelyn,ou=groups," + SUFFIX);
        System.out.println("gone: " + fails(NameNotFoundException.class, () -> context.getAttributes("uid=eve," + PEOPLE)));

        // Pages, sorted: both controls critical.
        List<String> pages = new ArrayList<>();
        byte[] cookie = null;
        do {
            context.setRequestControls(new Control[] {
                new SortControl(new SortKey[] {new SortKey("sn", false, null)}, Control.CRITICAL),
                new PagedResultsControl(4, cookie, Control.CRITICAL),
            });
            pages.add(String.join(" ", values(context, PEOPLE, "(uid=*)", "uid")));
            for (Control control : context.getResponseControls()) {
                if (control instanceof PagedResultsResponseControl) {
                    cookie = ((PagedResultsResponseControl) control).getCookie();
                } else if (control instanceof SortResponseControl && !((SortResponseControl) control).isSorted()) {
                    throw ((SortResponseControl) control).getException();
                }
            }
        } while (cookie != null && cookie.length > 0);
        context.setRequestControls(null);
        System.out.println("pages: " + String.join(" | ", pages));

        // References: ignored (with ManageDsaIT, so that they are entries), thrown, followed to another server.
        String away = "ou=referrals," + SUFFIX;
        System.out.println("ignore: " + values(context("java.naming.referral", "ignore"), away, "(objectClass=*)", "ou"));
        LdapContext throwing = context("java.naming.referral", "throw");
        NamingEnumeration<SearchResult> results = throwing.search(away, "(objectClass=*)", subtree("ou"));
        int entries = 0;
        try {
            while (results.hasMore()) {
                results.next();
                entries++;
            }
        } catch (ReferralException error) {
            System.out.println("throw: " + entries + " then " + error.getReferralInfo());
        }
        LdapContext following = context("java.naming.referral", "follow");
        List<String> followed = values(following, "ou=followed," + SUFFIX, "(objectClass=*)", "description");
        System.out.println("follow: " + followed);
        System.out.println("follow by name: "
            + following.getAttributes("cn=there,ou=there,ou=followed," + SUFFIX).get("description").get());

        // The schema as a tree.
        DirContext schema = context.getSchema("");
        Attributes mail = schema.getAttributes("AttributeDefinition/mail");
        System.out.println("mail: " + mail.get("NUMERICOID").get() + " " + mail.get("SYNTAX").get());
        Attributes person = schema.getAttributes("ClassDefinition/person");
        System.out.println("person: " + person.get("MUST") + " " + person.get("SUP"));
        DirContext classes = context.getSchemaClassDefinition("uid=ann," + PEOPLE);
        List<String> names = new ArrayList<>();
        NamingEnumeration<NameClassPair> listed = classes.list("");
        while (listed.hasMore()) {
            names.add(listed.next().getName());
        }
        Collections.sort(names);
        System.out.println("classes of ann: " + names);

        // What the server offers, and the rest of the extensions that JNDI speaks.
        Attributes root = context.getAttributes("", new String[] {"supportedLDAPVersion", "namingContexts"});
        System.out.println("root: " + root.get("supportedLDAPVersion") + ", " + root.get("namingContexts"));
        StartTlsResponse tls = (StartTlsResponse) context.extendedOperation(new StartTlsRequest());
        tls.setHostnameVerifier((host, session) -> true);
        tls.negotiate(trusting());
        context.addToEnvironment(Context.SECURITY_PRINCIPAL, "uid=bob," + PEOPLE);
        context.addToEnvironment(Context.SECURITY_CREDENTIALS, "bob-secret");
        context.reconnect(null);
        System.out.println("StartTLS: " + values(context, PEOPLE, "(uid=bob)", "cn"));
        tls.close();
        context.close();
    }

    /** Believes the server's certificate and no other. */
    static javax.net.ssl.SSLSocketFactory trusting() throws Exception {
        java.security.KeyStore store = java.security.KeyStore.getInstance(java.security.KeyStore.getDefaultType());
        store.load(null, null);
        try (java.io.InputStream file = new java.io.FileInputStream(System.getenv("LDAP_CERTIFICATE"))) {
            store.setCertificateEntry("server",
                java.security.cert.CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        javax.net.ssl.TrustManagerFactory trust =
            javax.net.ssl.TrustManagerFactory.getInstance(javax.net.ssl.TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        javax.net.ssl.SSLContext tls = javax.net.ssl.SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);
        return tls.getSocketFactory();
    }
}
